"""What came of the questions, as tables for a terminal and as a picture of a plan as it ran."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from rich.table import Table

import headway as hw
from headway.methods import plan
from headway.methods.plan.accuracy import loose_accuracy, strict_accuracy
from library.asking import SEARCH_PRICE, TOKEN_PRICE
from library.fanout import Question
from library.oracle import Answered
from library.planned import Planned


def tabulate_oracle(questions: Sequence[Question], answered: Sequence[Answered]) -> Table:
    """The ways of running one plan, side by side. Times are of questions that no way was killed in the middle of."""
    table = _make_table(
        f"{len(questions)} questions of FanOutQA by their oracle plans, a question on average",
        ("", "loose", "strict", "calls", "rounds", "tokens", "on the longest path", "seconds", "US dollars"),
    )
    reference = {question.id: question.answer for question in questions}
    whole = {each.question for each in answered} - {each.question for each in answered if each.seconds is None}
    for way in dict.fromkeys(each.way for each in answered):
        of = [each for each in answered if each.way == way]
        seconds = [each.seconds for each in of if each.seconds is not None and each.question in whole]
        table.add_row(
            way,
            f"{fmean(loose_accuracy(reference[each.question], each.answer) for each in of):.1%}",
            f"{fmean(strict_accuracy(reference[each.question], each.answer) for each in of):.1%}",
            f"{fmean(each.calls for each in of):.1f}",
            f"{fmean(each.rounds for each in of):.1f}",
            f"{fmean(each.tokens for each in of):,.0f}",
            f"{fmean(each.critical_tokens for each in of):,.0f}",
            f"{fmean(seconds):.2f}" if seconds else "–",
            f"{fmean(each.searches * SEARCH_PRICE + each.tokens * TOKEN_PRICE for each in of):.4f}",
        )
    return table


def tabulate_planners(planned: Sequence[Planned]) -> Table:
    """The planners, side by side."""
    table = _make_table(
        "Questions to the atlas by planners, a question on average",
        ("planner", "questions", "loose", "exact plans", "steps", "rounds", "tokens", "seconds", "US dollars"),
    )
    for planner in dict.fromkeys(each.planner for each in planned):
        of = [each for each in planned if each.planner == planner]
        seconds = [each.seconds for each in of if each.seconds is not None]
        table.add_row(
            planner,
            str(len(of)),
            f"{fmean(loose_accuracy(each.gold, each.answer) for each in of):.1%}",
            f"{fmean(each.exact for each in of):.1%}",
            f"{fmean(each.steps for each in of):.1f}",
            f"{fmean(each.rounds for each in of):.1f}",
            f"{fmean(each.tokens for each in of):,.0f}",
            f"{fmean(seconds):.2f}" if seconds else "–",
            f"{fmean(each.tokens * TOKEN_PRICE for each in of):.6f}",
        )
    return table


def _make_table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left")
    return table


Ran = tuple[str, float | None, plan.Executed[Any, Any]]  # of which question, how long it took, and how


def draw_plans(
    recorded: hw.RunView, questions: Sequence[Question], answered: Sequence[Answered], planned: Sequence[Planned]
) -> dict[str, str]:
    """Plans as they ran, as SVG files by name: the largest flow of data, and the largest plan that the trained planner wrote."""
    said = {each.id: each.question for each in questions}
    flows: list[Ran] = [
        (each.question, each.seconds, each.ran) for each in answered if each.ran is not None and each.way == "dataflow"
    ]
    written: list[Ran] = [
        (each.question, each.seconds, each.ran) for each in planned if each.ran is not None and each.planner == "planner"
    ]
    drawn: dict[str, str] = {}
    for name, of in (("oracle.svg", flows), ("planner.svg", written)):
        if of:
            question, _, ran = max(of, key=lambda each: (each[1] is not None, len(each[2].graph)))
            drawn[name] = plan.draw(ran, recorded, title=said.get(question, question))
    return drawn
