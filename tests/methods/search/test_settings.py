"""A setting that makes no sense is refused by name when a method is called, before anything is spent."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

import headway as hw
from headway.methods import search
from headway.methods.search import Candidate, State, StrategyTable, Trial, Verdict, allocators
from headway.methods.search.select import consensus, selectors

NAN, INF = float("nan"), float("inf")


async def never(*_: object) -> Any:
    raise AssertionError("something was spent")


STEPS: dict[str, Any] = {"question": "q", "step": never, "score": never}
SAMPLES: dict[str, Any] = {"question": "q", "generate": never}
TRIALS = [Trial("easy", 0.1, "once", 1.0, 3), Trial("hard", 0.9, "once", 0.3, 3)]
POLICY: dict[str, Any] = {"edges": (0.5,), "budgets": (1.0, 2.0), "choices": (("a", "b"), ("c", "d"))}
SCORES: dict[str, Any] = {"scores": [0.5, 0.6], "total": 4}

POOL = search.Pool(("a", "b"), "a", ((1.0,), (0.0,)))

CALLS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "a_star": (search.a_star, STEPS),
    "beam_search": (search.beam_search, STEPS),
    "dvts": (search.dvts, STEPS),
    "rebase": (search.rebase, STEPS),
    "dora": (search.dora, {**STEPS, "embed": never}),
    "deep_prune": (search.deep_prune, {"question": "q", "step": never, "alike": never}),
    "follow_outlines": (search.follow_outlines, {"question": "q", "plan": never, "follow": never}),
    "para_thinker": (search.para_thinker, {"question": "q", "think": never, "summarize": never}),
    "grounded_search": (search.grounded_search, {"question": "q", "step": never, "check": never, "judge": never}),
    "backtrack": (search.backtrack, {"question": "q", "step": never}),
    "which_pays": (search.which_pays, {"backtracked": [1, 0], "restarted": [1, 1]}),
    "stop_when_stalled": (search.stop_when_stalled, {**STEPS, "force": never}),
    "Progress.slope": (search.Progress((0.1, 0.2, 0.3)).slope, {"window": 2}),
    "Progress.regret": (search.Progress((0.1,)).regret, {"best": 1.0}),
    "Progress.is_stalled": (search.Progress((0.1,) * 4).is_stalled, {}),
    "suppress_reflection": (search.suppress_reflection, {"question": "q", "write": never, "probe": never}),
    "certainty": (search.certainty, {"distributions": [[0.5, 0.5]]}),
    "chance_of_ban": (search.chance_of_ban, {"certain": 0.5}),
    "ets": (search.ets, {**STEPS, "embed": never}),
    "tree_search": (search.tree_search, {**STEPS, "allocate": never, "n": 2, "depth": 2, "select": selectors.best}),
    "best_of_n": (search.best_of_n, {**SAMPLES, "score": never}),
    "majority": (search.majority, SAMPLES),
    "first_finish": (search.first_finish, SAMPLES),
    "no_thinking": (search.no_thinking, SAMPLES),
    "mbr": (search.mbr, SAMPLES),
    "chops": (search.chops, {**SAMPLES, "write": never, "judge": never}),
    "batch_prompt": (search.batch_prompt, {"questions": ["q"], "label": never}),
    "answer_from_documents": (
        search.answer_from_documents,
        {"question": "q", "retrieve": never, "read": never, "size": search.RagSize(1)},
    ),
    "RagSize": (search.RagSize, {"documents": 1}),
    "RagTrial": (search.RagTrial, {"size": search.RagSize(1), "right": 0.5}),
    "fit_rag": (search.fit_rag, {"trials": [search.RagTrial(search.RagSize(k), 0.5) for k in (1, 2, 3, 4)]}),
    "solve_or_verify": (search.solve_or_verify, {**SAMPLES, "verify": never, "split": search.Split(2, 1)}),
    "choose_split": (search.choose_split, {"pools": [POOL], "budget": 2, "rng": Random(0)}),
    "Pool": (search.Pool, {"answers": ("a",), "right": "a", "verdicts": ((1.0,),)}),
    "fit_exponents": (search.fit_exponents, {"splits": {1: search.Split(2, 1), 2: search.Split(4, 1)}}),
    "diagnose": (search.diagnose, {"rewards": [[0.0, 1.0]] * 2, "n": 2}),
    "most_similar": (consensus.most_similar, {}),
    "solve_detect_verify": (search.solve_detect_verify, {"question": "q", "step": never, "fast": never, "slow": never}),
    "verify_flexibly": (
        search.verify_flexibly,
        {"question": "q", "candidate": Candidate("", None), "fast": never, "slow": never},
    ),
    "compute_optimal": (
        search.compute_optimal,
        {**SAMPLES, "score": never, "table": StrategyTable((), (1.0,), (("a",),)), "strategies": {"a": never}, "budget": 1},
    ),
    "first_accepted": (search.first_accepted, {"attempt": never, "count": 1, "accept": bool}),
    "attempts": (search.attempts, {"attempt": never, "count": 1, "rounds": []}),
    "fit": (search.fit, {"trials": TRIALS, "budgets": (1.0,)}),
    "cross_validate": (search.cross_validate, {"trials": TRIALS, "budgets": (1.0,)}),
    "Trial": (search.Trial, {"question": "q", "difficulty": 0.5, "strategy": "a", "right": 0.5, "cost": 1}),
    "StrategyTable": (search.StrategyTable, POLICY),
    "StrategyTable.choose": (search.StrategyTable(**POLICY).choose, {"difficulty": 0.5, "budget": 1}),
    "Verdict": (search.Verdict, {"ok": True}),
    "allocators.temp": (allocators.temp, SCORES),
    "allocators.beam": (allocators.beam, {**SCORES, "width": 2}),
    "allocators.dvts": (allocators.dvts, {**SCORES, "groups": [0, 1]}),
    "allocators.rebase": (allocators.rebase, SCORES),
    "allocators.dora": (allocators.dora, {**SCORES, "similarity": [[1.0, 0.0], [0.0, 1.0]]}),
    "allocators.dora_weights": (allocators.dora_weights, {"scores": [0.5, 0.6], "similarity": [[1.0, 0.0], [0.0, 1.0]]}),
    "allocators.softmax": (allocators.softmax, {"values": [0.5, 0.6]}),
    "allocators.largest_remainder": (allocators.largest_remainder, {"weights": [0.5, 0.6], "total": 4}),
    "allocators.cosine": (allocators.cosine, {"vectors": [[1.0, 0.0], [0.0, 1.0]]}),
    "selectors.borda": (selectors.borda, {}),
}

# What is refused of each setting, and what its message says is allowed.
COUNT = ((-5, -1, 2.5, NAN, "8", True, None), "a whole number, at least 0")
ONE_OR_MORE = ((0, -1, 2.5, NAN, "8", True, None), "a whole number, at least 1")
WHOLE = ((2.5, NAN, "8", True, None), "a whole number")
POSITIVE = ((0, -1, NAN, "hot", None, True), "a number above 0")
NUMBER = ((NAN, "much", None), "a number")
AMOUNT = ((-1, NAN, INF, "much", None), "zero or more|at least 0")
SHARE = ((75, -0.1, 1.01, NAN, INF, "most", None), "a number from 0 to 1")
FUNCTION = ((3, "step", None), "a function")
MAYBE_FUNCTION = ((3, "step"), "a function or None")
GIVEN = ((["42"], 3, [State("q")]), "a list of search.Candidate")

EVERYWHERE: dict[str, tuple[tuple[object, ...], str]] = {
    "n": COUNT,
    "depth": ONE_OR_MORE,
    "width": ONE_OR_MORE,
    "parallel": ONE_OR_MORE,
    "prefix": ONE_OR_MORE,
    "delta": ((1, 90, -0.1, NAN, "high", None), "a number from 0 to 0.999"),
    "certain": SHARE,
    "triggers": (("Wait", ["Wait", ""], [3]), "a list of words"),
    "distributions": (([], [[1.0]], [[0.5, 0.5], [1.0, 0.0, 0.0]], [[0.5, NAN]], [[0.7, 0.7]]), "give"),
    "window": ((1, 0, -2, 2.5, NAN, "4", None), "a whole number, at least 2"),
    "least": SHARE,
    "best": SHARE,
    "restart": ((1, "yes", None), "True or False"),
    "rollout": ONE_OR_MORE,
    "positive": COUNT,
    "negative": COUNT,
    "explore": AMOUNT,
    "fade": SHARE,
    "memory": ((-0.5, NAN, INF, "long", None), "zero or more|at least 0"),
    "temperature": POSITIVE,
    "similarity_temperature": POSITIVE,
    "node_cost": AMOUNT,
    "coverage": AMOUNT,
    "within": ((-0.1, 2.1, NAN, "near", None), "a number from 0 to 2"),
    "k": COUNT,
    "rounds": COUNT,
    "probes": COUNT,
    "first": WHOLE,
    "start": (("", 3, None, ("a",)), "a search.State"),
    "count": WHOLE,
    "agreement": SHARE,
    "within_s": ((-5, NAN, "long"), "a number, at least 0"),
    "equal": FUNCTION,
    "budget": NUMBER,
    "difficulty": NUMBER,
    "bins": ONE_OR_MORE,
    "extra": COUNT,
    "size": ONE_OR_MORE,
    "agree": ONE_OR_MORE,
    "documents": COUNT,
    "shots": COUNT,
    "iterations": ONE_OR_MORE,
    "gains": (((1.0,), (NAN, 0.0), (0.0, 2.0), 3), "a number from -1 to 1|two numbers"),
    "rng": ((3, "random"), "a random.Random"),
    "ratio": POSITIVE,
    "evidence": GIVEN,
    "folds": ((1, 0, -2, 2.0, None), "a whole number, at least 2"),
    "total": COUNT,
    "power": ((-1, NAN, INF, "2", None), "zero or more|at least 0"),
    "right": SHARE,
    "cost": ((-1, NAN, INF, "3", None), "zero or more|at least 0"),
    "confidence": SHARE,
    "ok": ((1, "yes", 0.9), "True, False, or None"),
    "select": FUNCTION,
    "given": GIVEN,
    "errors": (("ModelError", [hw.ModelError], 3), "an exception class or several"),
    "edges": (((0.5, 0.2), (NAN,)), "numbers that go up"),
    "choices": (((), (("a", "b"),), (("a",), ("c", "d"))), "2 rows, one more than edges"),
    **dict.fromkeys(
        (
            "step",
            "score",
            "generate",
            "embed",
            "fast",
            "slow",
            "allocate",
            "alike",
            "plan",
            "check",
            "judge",
            "force",
            "write",
            "probe",
            "follow",
            "think",
            "summarize",
            "label",
            "similar",
            "retrieve",
            "read",
        ),
        FUNCTION,
    ),
    **dict.fromkeys(("detect", "verify", "hesitation", "revise", "greedy"), MAYBE_FUNCTION),
}
HERE: dict[tuple[str, str], tuple[tuple[object, ...], str]] = {
    ("majority", "sure"): ((95, 0.5, 0, NAN, "very", None), "a number above 0.5, at most 1"),
    ("follow_outlines", "summarize"): MAYBE_FUNCTION,
    ("backtrack", "judge"): MAYBE_FUNCTION,
    ("which_pays", "sure"): ((95, 0.5, 0, NAN, "very", None), "a number above 0.5, at most 1"),
    ("deep_prune", "sure"): SHARE,
    ("compute_optimal", "sure"): ((NAN, "very"), "a number"),
    ("compute_optimal", "strategies"): (({"a": None}, {"a": 3}), "a function"),
    ("no_thinking", "select"): MAYBE_FUNCTION,
    ("mbr", "evidence"): MAYBE_FUNCTION,
    ("no_thinking", "verify"): MAYBE_FUNCTION,
    ("solve_or_verify", "verify"): FUNCTION,
    ("batch_prompt", "rounds"): ONE_OR_MORE,
    ("batch_prompt", "sure"): ((NAN, "very"), "a number"),
    ("answer_from_documents", "size"): ((3, None, (1, 2, 3)), "a search.RagSize"),
    ("RagTrial", "size"): ((3, None), "a search.RagSize"),
    ("fit_rag", "trials"): (([], [search.RagTrial(search.RagSize(1), 0.5)] * 9), "four or more, of at least two sizes"),
    ("solve_or_verify", "split"): ((8, (8, 2)), "a search.Split"),
    ("choose_split", "budget"): ((0.5, NAN, "much"), "a number, at least 1"),
    ("choose_split", "pools"): (([],), "one or more of both"),
    ("choose_split", "trials"): ONE_OR_MORE,
    ("choose_split", "verdicts"): (((), (-1,), (0.5,)), "a whole number, at least 0|one or more of both"),
    ("Pool", "answers"): (((), ("a", "b")), "each of one or more answers"),
    ("Pool", "verdicts"): (((), ((2.0,),), ((NAN,),)), "each of one or more answers|a number from 0 to 1"),
    ("fit_exponents", "splits"): (({}, {1: search.Split(3)}), "two or more that have"),
    ("diagnose", "n"): ONE_OR_MORE,
    ("diagnose", "rewards"): (
        ([[1.0, 2.0]], [[1.0]] * 2, [[NAN, 1.0]] * 2, [[-1.0, 1.0]] * 2),
        "two or more|at least n|zero or more",
    ),
    ("diagnose", "scores"): (([[1.0, 2.0]], [[1.0]] * 2, [[NAN, 1.0]] * 2), "two or more|at least n|a number"),
    ("attempts", "start"): WHOLE,
    ("selectors.borda", "confidence"): MAYBE_FUNCTION,
    ("fit", "budgets"): (((NAN,), ("3",), (None,)), "a number"),
    ("cross_validate", "budgets"): (((NAN,), ("3",), (None,)), "a number"),
    ("StrategyTable", "budgets"): (((2.0, 1.0), (NAN, 1.0)), "numbers that go up"),
    ("allocators.dvts", "groups"): (([0], [0, 1, 2]), "there must be 2"),
    ("allocators.dora", "similarity"): (([[1.0]], [[1.0], [0.0, 1.0]]), "there must be 2"),
    ("allocators.dora_weights", "similarity"): (([[1.0]], [[1.0], [0.0, 1.0]]), "there must be 2"),
    ("allocators.cosine", "vectors"): (([[1.0], [1.0, 0.0]], [[NAN]]), "there must be 1|a finite number"),
}
DATA = {
    "questions",
    "examples",
    "question",
    "candidate",
    "table",
    "strategy",
    "trials",
    "attempt",
    "scores",
    "values",
    "weights",
    "feedback",
    "tokens",
    "accept",
    "rng",
    "backtracked",
    "restarted",
}
"""Arguments that are no settings."""


def refused(call: str, name: str) -> tuple[tuple[object, ...], str] | None:
    return HERE.get((call, name)) or EVERYWHERE.get(name)


def settings_of(call: str) -> list[str]:
    given = {("attempts", "rounds"), ("Pool", "right")}  # a list that it fills; an answer
    return [name for name in inspect.signature(CALLS[call][0]).parameters if name not in DATA and (call, name) not in given]


CASES = [
    (call, name, value, said[1])
    for call in CALLS
    for name in settings_of(call)
    if (said := refused(call, name)) is not None
    for value in said[0]
]


@pytest.mark.parametrize(("call", "name", "value", "allowed"), CASES)
def test_a_setting_that_makes_no_sense_is_refused_before_anything_is_spent(call, name, value, allowed):
    function, others = CALLS[call]

    async def program() -> None:
        made = function(**{**others, name: value})
        if inspect.isawaitable(made):
            await made

    with pytest.raises(hw.UsageError, match=rf"{name}.*({allowed})"):
        asyncio.run(program())


def test_every_setting_of_every_public_function_is_checked():
    public = {name for name, value in vars(search).items() if inspect.isfunction(value)}
    assert public - CALLS.keys() == {"choose", "sequential_tokens"}, "these have no settings"
    for call in CALLS:
        for name in settings_of(call):
            assert refused(call, name), f"{call}: {name}"


@pytest.mark.parametrize("place", [-1, 2, 0.5, None, True, "0"])
def test_a_selector_that_gives_no_place_is_told_so(place):
    found = {0: Candidate("a", "a"), 1: Candidate("b", "b")}
    with pytest.raises(hw.UsageError, match=r"select=.* returned .*: it must return the place of one of 2 candidates, from 0 to 1"):
        search.choose(found, lambda candidates: place, "done")


@pytest.mark.parametrize(
    "select", [selectors.first, selectors.best, selectors.majority, selectors.weighted_vote, selectors.borda()]
)
def test_a_selector_of_nothing_says_so(select):
    with pytest.raises(hw.UsageError, match="no candidates"):
        select([])


@pytest.mark.parametrize("counts", [[1], [1, 1, 1], [-1, 2], [0.5, 1.5], ["1", "1"]])
def test_an_allocation_that_gives_no_counts_is_told_so(counts):
    async def step(question: str, state: State, index: int) -> State:
        return State(f"{state.value}{index}")

    async def score(question: str, texts: list[str]) -> list[float]:
        return [0.5 for _ in texts]

    async def allocate(*_: object) -> Any:
        return counts

    with pytest.raises(hw.UsageError, match=r"allocate=.*: give a whole number, at least 0, for each of 2 states"):
        asyncio.run(search.tree_search("q", step, score, allocate, n=2, depth=3, select=selectors.best))


@pytest.mark.parametrize("value", [-0.7, 1.5, 95.0])
def test_a_detector_s_word_is_a_probability(value):
    async def step(question: str, state: State, index: int) -> State:
        return State(f"{state.value}wait")

    async def detect(question: str, texts: list[str]) -> list[float]:
        return [value]

    with pytest.raises(hw.UsageError, match=rf"gave {value} for .*: give a number from 0 to 1 .*math.exp"):
        asyncio.run(search.solve_detect_verify("q", step, never, never, detect=detect))


def test_a_probability_may_be_off_by_rounding():
    assert Verdict(True, 1 + 1e-7).right == pytest.approx(1)
    with pytest.raises(hw.UsageError, match=r"confidence=95: a number from 0 to 1 .*no percentage"):
        Verdict(True, 95)


def test_a_comparison_needs_questions_to_look_at():
    with pytest.raises(hw.UsageError, match="fewer than two questions"):
        search.cross_validate(TRIALS[:1], (1.0,))
