"""How good a planner is: how many of its plans are exactly the right ones, and how many only lead to the right answer."""

from __future__ import annotations

from collections.abc import Sequence

from headway.models.base import BatchModel, Request
from headway.reference.planner.questions import Question

MOST = 120  # tokens of a plan


def write_plans(model: BatchModel, questions: Sequence[Question]) -> list[str]:
    """The likeliest plan of each question, as the model writes it."""
    requests = [Request(prompt=question.prompt, max_tokens=MOST, temperature=0.0) for question in questions]
    return [reply.samples[0].text for reply in model.sample_batch(requests, lambda _: False)]


def are_exact(plans: Sequence[str], questions: Sequence[Question]) -> list[bool]:
    """Whether each plan is the right one, word for word."""
    return [plan == question.plan for plan, question in zip(plans, questions, strict=True)]
