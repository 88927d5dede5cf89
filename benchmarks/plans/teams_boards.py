"""Hogwild!: how much workers write that another one writes, too, by how often they look up. And what tests hold of it.

Workers are planted and run on a virtual clock (`tests/methods/plan/teams/board.py`); the last row has Gemma write lists.
"""

from __future__ import annotations

import sys
from pathlib import Path

import headway as hw
from benchmarks.methods.row import Held, Pair, Row
from headway import models
from headway.methods.plan import teams

sys.path.append(str(Path(__file__).parents[2] / "tests/methods/plan/teams"))
HOGWILD = "tests/methods/plan/teams/test_hogwild.py::"
CLAIM = "workers who see each other's unfinished text split the work among themselves"
OFTEN, RARELY = 24, 160  # tokens; an item takes 140 on average


def against(poll: int, sees: str, seed: int) -> Pair:
    from board import rate  # type: ignore[import-not-found]  # of the tests

    return Pair(rate(seed, OFTEN), rate(seed, poll, sees))


def _row(poll: int, sees: str, shows: str, baseline: str) -> Row:
    return Row(
        method="Hogwild!",
        function="headway.methods.plan.teams.hogwild.hogwild",
        item="plan",
        claim=CLAIM,
        shows=shows,
        baseline=baseline,
        unit="share of tokens written in vain",
        measure=lambda seed: against(poll, sees, seed),
        reached=lambda low, high: high < 0,
        compare="difference",
        test=f"{HOGWILD}test_the_more_often_they_look_up_the_less_they_repeat_and_far_less_than_who_see_nothing",
        first_seed=100,
    )


# --- Gemma writes lists ------------------------------------------------------------------------------------------------

SUBJECTS = ("animals", "countries", "fruits", "jobs", "sports", "rivers", "colours", "tools")
NAMES = 12  # that four workers write together


class Lister:
    """Adds one name at a time to a list that it sees: the whole list, or its own names alone."""

    def __init__(self, model: models.Local, seed: int, *, alone: bool) -> None:
        self.model, self.seed, self.alone = model, seed, alone

    async def __call__(self, question: str, sight: teams.Sight) -> teams.Wrote:
        seen = [step for step in (*sight.history, *sight.others) if not self.alone or step.worker == sight.worker]
        lines = "".join(f"- {step.text}\n" for step in seen)
        prompt = f"A long list of {question}, one in each line, none of them twice:\n{lines}-"
        seed = self.seed * 1000 + sight.worker * 100 + sight.turn
        reply = await models.sample(self.model, prompt, max_tokens=8, stop=("\n",), temperature=0.8, seed=seed)
        return teams.Wrote(reply.text.strip().lower() or "nothing", reply.samples[0].tokens, "ended")


@hw.task
async def list_names(seed: int, alone: bool) -> float:
    """The share of names that another one had written before."""
    model = models.open("gemma")
    assert isinstance(model, models.Local)
    writer = Lister(model, seed, alone=alone)
    board = await teams.hogwild(SUBJECTS[seed % len(SUBJECTS)], [writer] * 4, turns=NAMES)
    return 1 - len({step.text for step in board.history}) / len(board.history)


def list_by_gemma(seed: int) -> Pair:
    return Pair(*(hw.run(list_names, seed, alone, store=None, progress=False) for alone in (False, True)))


ROWS: list[Row | Held] = [
    _row(
        RARELY,
        "nothing",
        f"four workers who look up every {OFTEN} tokens write less in vain than four who see nothing",
        "four workers who share nothing, until all is done once",
    ),
    _row(
        OFTEN,
        "finished",
        "seeing what is not finished saves work beside seeing finished steps alone",
        "four workers who look up as often and see finished steps alone",
    ),
    _row(
        RARELY,
        "all",
        f"the more often they look up, the less is written in vain: every {OFTEN} tokens against every {RARELY}",
        f"the same workers, who look up every {RARELY} tokens",
    ),
    Row(
        method="Hogwild!",
        function="headway.methods.plan.teams.hogwild.hogwild",
        item="plan",
        claim=CLAIM,
        shows=f"four workers on Gemma write {NAMES} names with fewer of them twice than four who see their own names alone",
        baseline="the same four, each of whom sees what it wrote itself",
        unit="share of names written twice",
        measure=list_by_gemma,
        reached=lambda low, high: high < 0,
        compare="difference",
        test=f"{HOGWILD}test_who_looks_up_sees_the_history_the_others_and_its_own",
        reason="so small a base model copies from a list as often as it avoids what is there, and a shared list is longer",
        seeds=6,
        first_seed=100,
    ),
    Held(
        item="plan",
        promise="Hogwild!: a worker sees the history, what the others have not finished and its own; who has written long is asked "
        "whether it repeats work, and what does is dropped; a worker that fails leaves the others.",
        tests=(
            f"{HOGWILD}test_who_looks_up_sees_the_history_the_others_and_its_own",
            f"{HOGWILD}test_who_has_written_long_is_asked_and_what_repeats_work_is_dropped",
            f"{HOGWILD}test_a_worker_that_fails_leaves_and_the_others_go_on",
            f"{HOGWILD}test_a_model_writes_on_where_it_was_says_whether_it_repeats_and_ends_over_the_wire",
        ),
    ),
    Held(
        item="plan",
        promise="Hogwild!: killed at any record, workers go on with the same views and write nothing twice; a budget or a deadline "
        "ends them with what is on the board; what makes no sense is refused before anything is written.",
        tests=(
            f"{HOGWILD}test_it_is_killed_at_any_record_and_goes_on_with_the_same_views",
            f"{HOGWILD}test_a_bound_ends_it_with_what_is_on_the_board",
            f"{HOGWILD}test_settings_that_make_no_sense_are_refused_before_anything_is_written",
        ),
    ),
]
