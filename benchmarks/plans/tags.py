"""Models that fork by tags: Multiverse's tokens on the longest way, and UnifiedMLLM's tasks on their way to experts.

Both write by a script, since no model of this size knows these tags: what is measured is the interpreter and not what a model would
write. A word is a token and takes one second on a virtual clock.
"""

from __future__ import annotations

import random
import re
from collections.abc import AsyncGenerator, Sequence
from functools import partial

import headway as hw
from benchmarks.methods.row import Held, Pair, Row
from headway import models, testing
from headway.methods.plan import Marked, Unified, Woven, multiverse, unified
from headway.models import Request

TEXTS = 20
TESTS = "tests/methods/plan/tags"


class Forks:
    """Forks a question `words a b c` into a path for each number, as long as it says, with a goal and a conclusion of ten words."""

    name = "forks"

    async def stream(self, request: Request) -> AsyncGenerator[models.Piece, None]:
        prompt = str(request.prompt)
        lengths = prompt.partition("\n")[0].split()
        if prompt.endswith("<Conclusion>"):
            said = _words(10) + "</Conclusion>"
        elif prompt.endswith(":"):
            said = _words(int(lengths[int(prompt.rpartition("<Path>")[2][:-1]) - 1]))
        elif "</Parallel>" in prompt:
            said = _words(10)
        else:
            outlines = "".join(f" <Outline>{at}: {_words(3)}</Outline>" for at in range(1, len(lengths) + 1))
            said = f"{_words(10)} <Parallel><Goal>{outlines}"
        words = said.split(" ")
        for word in words[: request.max_tokens]:
            yield models.Piece(word + " ", tokens=1)
        yield models.Piece(finish="stop" if len(words) <= request.max_tokens else "length")


def _words(count: int) -> str:
    return " ".join("word" for _ in range(count))


@hw.task
async def weave_all(prompts: Sequence[str]) -> list[Woven]:
    return [await multiverse(Forks(), prompt, tokens=100_000) for prompt in prompts]


def share_on_the_longest_way(seed: int, branches: int) -> Pair:
    """Tokens on the longest way, and all of them."""
    draw = random.Random(f"multiverse {seed} {branches}")
    prompts = [" ".join(str(round(draw.lognormvariate(4, 0.7)) + 1) for _ in range(branches)) + "\n" for _ in range(TEXTS)]
    woven = hw.run(weave_all, prompts, store=None)
    assert all(len(each.paths) == branches and each.why == "ended" for each in woven)
    return Pair(sum(each.spent.sequential for each in woven), sum(each.spent.total for each in woven))


# --- experts ---------------------------------------------------------------------------------------------------------

TASKS = ("segment", "edit", "generate", "detect")


class Marks:
    """Writes an answer with marked tasks, in pieces that are cut anywhere."""

    name = "marks"

    def __init__(self, pieces: Sequence[str], rest_s: float = 0.0) -> None:
        self.pieces, self._rest_s = pieces, rest_s

    async def stream(self, request: Request) -> AsyncGenerator[models.Piece, None]:
        for piece in self.pieces:
            if self._rest_s:
                await hw.sleep(self._rest_s)
            yield models.Piece(piece, tokens=1)
        yield models.Piece(finish="stop")


@hw.task
async def work(marked: Marked) -> tuple[str, float]:
    """An expert's ten seconds, and when they are over."""
    await hw.sleep(10)
    return f"{marked.task}: {marked.text}", hw.now()


def make_answer(seed: int) -> tuple[list[str], list[str]]:
    """An answer in pieces, and the tasks in it, as their experts say them."""
    draw = random.Random(f"unified {seed}")
    said, tasks = "", []
    for number in range(draw.randint(4, 10)):
        task = draw.choice(TASKS)
        said += f"{_words(draw.randint(0, 6))} <b>x</b> <{task}>thing {number}<region>1,2,3,4</region></{task}> "
        tasks.append(f"{task}: thing {number}")
    cuts = sorted(draw.randrange(len(said)) for _ in range(len(said) // 6))
    return [said[first:last] for first, last in zip([0, *cuts], [*cuts, len(said)], strict=True)], tasks


@hw.task
async def route(pieces: Sequence[str], rest_s: float) -> Unified:
    return await unified(Marks(pieces, rest_s), "What is it?", dict.fromkeys(TASKS, work))


def routed_right(seed: int) -> Pair:
    """The share of tasks that reach their expert, and that of a pattern that looks at the whole answer."""
    right, naive, count = 0, 0, 0
    pattern = re.compile(f"<({'|'.join(TASKS)})>(.*?)<region>.*?</region></\\1>")
    for number in range(TEXTS):
        pieces, tasks = make_answer(1000 * seed + number)
        answer = testing.run(route, pieces, 0.0, store=None, clock=testing.VirtualClock())
        right += [each.value[0] for each in answer.routed] == tasks and len(tasks)
        naive += len(pattern.findall("".join(pieces)))
        count += len(tasks)
    return Pair(100 * right / count, 100 * naive / count)


def ends_at(seed: int) -> Pair:
    """Mean seconds until an expert is done, and if all began when the whole answer is there."""
    ours, after, count = 0.0, 0.0, 0
    for number in range(TEXTS):
        pieces, tasks = make_answer(1000 * seed + number)
        clock = testing.VirtualClock()
        began = clock.now
        answer = testing.run(route, pieces, 1.0, store=None, clock=clock)
        ours += sum(each.value[1] - began for each in answer.routed)
        after += len(tasks) * (len(pieces) + 10)
        count += len(tasks)
    return Pair(ours / count, after / count)


ROW = partial(Row, item="plan", seeds=5)
MULTIVERSE = partial(
    ROW,
    method="Multiverse",
    function="headway.methods.plan.multiverse",
    claim="up to twice as fast; its reviewers ask for (sequential + the longest branches) / all tokens",
    baseline="all tokens, written one after the other",
    unit="tokens",
    reached=lambda low, high: high < 1,
    test=f"{TESTS}/test_multiverse.py::test_paths_are_written_at_the_same_time",
)
UNIFIED = partial(
    ROW,
    method="UnifiedMLLM",
    function="headway.methods.plan.unified",
    claim="task tokens in the answer of one model call the expert for each task",
)
ROWS: list[Row | Held] = [
    *(
        MULTIVERSE(
            shows=f"(sequential + the longest branch) / all tokens, with {branches} branches of uneven length, by a script",
            measure=partial(share_on_the_longest_way, branches=branches),
        )
        for branches in (2, 7, 16)
    ),
    UNIFIED(
        shows="every task reaches its expert while the answer comes in pieces, by a script",
        baseline="a pattern on the whole answer, when it is there",
        unit="% of tasks",
        compare="difference",
        reached=lambda low, high: low >= 0,
        measure=routed_right,
        test=f"{TESTS}/test_unified.py::test_each_task_goes_to_its_expert_with_its_regions",
    ),
    UNIFIED(
        shows="an expert is done sooner, since it starts while the model is writing",
        baseline="experts that start when the whole answer is there",
        unit="virtual seconds",
        reached=lambda low, high: high < 1,
        measure=ends_at,
        test=f"{TESTS}/test_unified.py::test_an_expert_starts_while_the_model_is_writing",
    ),
    Held(
        item="plan",
        promise="A planner that stops in the middle of a line, or of a tag: what was cut off starts nobody, and it is said why",
        tests=(
            f"{TESTS}/test_apr.py::test_a_text_that_is_cut_within_a_tag_starts_nobody",
            f"{TESTS}/test_multiverse.py::test_a_goal_that_is_cut_forks_nothing",
            f"{TESTS}/test_unified.py::test_a_task_that_the_answer_ends_in_is_named_and_given_to_nobody",
        ),
    ),
    Held(
        item="plan",
        promise="Tags: a text gives the same blocks however it is cut, nothing of it is lost, unknown, stray and unclosed tags are "
        "lawful, and 20,000 opening tags end",
        tests=(
            f"{TESTS}/test_reading_tags.py::test_a_text_gives_the_same_blocks_however_it_is_cut",
            f"{TESTS}/test_reading_tags.py::test_nothing_of_a_text_is_lost_or_added",
            f"{TESTS}/test_reading_tags.py::test_what_is_open_when_a_block_around_it_closes_is_marked",
            f"{TESTS}/test_reading_tags.py::test_a_text_of_opening_tags_alone_ends",
        ),
    ),
    Held(
        item="plan",
        promise="Tags: a helper's message and a path's text can't speak for the text around them",
        tests=(
            f"{TESTS}/test_apr.py::test_a_message_can_not_speak_for_the_parent",
            f"{TESTS}/test_multiverse.py::test_a_path_can_not_break_what_is_around_it",
            f"{TESTS}/test_reading_tags.py::test_a_text_that_was_quoted_has_no_tags",
        ),
    ),
    Held(
        item="plan",
        promise="Tags: a model that forks for ever ends; nobody passes the bounds on the longest way, in all, of helpers, rounds "
        "and depth",
        tests=(
            f"{TESTS}/test_apr.py::test_nobody_writes_more_than_the_bounds",
            f"{TESTS}/test_apr.py::test_a_thread_that_starts_helpers_for_ever_ends",
            f"{TESTS}/test_apr.py::test_helpers_start_helpers_as_deep_as_they_may",
            f"{TESTS}/test_apr.py::test_a_budget_that_is_used_up_ends_threads_with_what_they_have",
            f"{TESTS}/test_multiverse.py::test_a_model_that_forks_for_ever_runs_out_of_tokens",
        ),
    ),
    Held(
        item="plan",
        promise="Tags: a branch that fails, ends without a join or runs out of tokens is told in one line; other errors are raised",
        tests=(
            f"{TESTS}/test_apr.py::test_a_helper_that_fails_is_a_message_for_its_parent",
            f"{TESTS}/test_apr.py::test_a_helper_without_a_join_says_why",
            f"{TESTS}/test_apr.py::test_an_error_that_is_not_named_fails_the_program",
            f"{TESTS}/test_multiverse.py::test_a_path_that_fails_leaves_its_reason",
            f"{TESTS}/test_unified.py::test_an_expert_that_fails_leaves_its_reason_and_the_others_go_on",
        ),
    ),
    Held(
        item="plan",
        promise="Tags: a program that is killed at any record goes on, and no branch or expert that ended runs again",
        tests=(f"{TESTS}/test_tags_survive.py::test_a_program_that_is_killed_at_any_record_goes_on_where_it_was",),
    ),
    Held(
        item="plan",
        promise="Tags: settings that make no sense are refused before anything is asked",
        tests=tuple(
            f"{TESTS}/test_{name}.py::test_senseless_settings_are_refused_before_anything_is_asked"
            for name in ("apr", "multiverse", "unified")
        ),
    ),
]
