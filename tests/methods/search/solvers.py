"""The parts of the searches that tests kill and bound: tasks that take time and cost tokens, on the trees of the catalogue."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace

from benchmarks.methods.solvers import RIGHT, Tree, by_hash

import headway as hw
from headway.methods import search
from headway.methods.search import Candidate, Found, State, Verdict

TREE = Tree(depth=3, right=0.6, noise=0.1)
BEGAN: list[str] = []  # the keys of the calls whose body began, in a run
RAN: list[str] = []  # and of those whose body ran to its end
STEP_S = 1.0


async def work(name: str, *what: object) -> None:
    """Take about a second of the clock, and book a token for it half way."""
    key = here()
    BEGAN.append(key)
    seconds = STEP_S * (0.5 + by_hash("time", name, *what))
    await asyncio.sleep(seconds / 2)
    hw.charge(tokens=1)
    await asyncio.sleep(seconds / 2)
    RAN.append(key)


def here() -> str:
    try:
        return hw.call().key
    except hw.NotInRun:
        return ""


@hw.task(cost={"tokens": 3})
async def generate(question: str, index: int) -> Candidate:
    for _ in range(3):
        await work("generate", question, index)
    made = await TREE.generate(question, index)
    return replace(made, logprob=-by_hash("logprob", question, index) * made.tokens)


@hw.task(cost={"tokens": 1})
async def step(question: str, state: State, index: int) -> State:
    await work("step", question + state.value, index)
    return await TREE.step(question, state, index)


@hw.task(cost={"tokens": 1})
async def score(question: str, texts: list[str]) -> list[float]:
    await work("score", *(question + text for text in texts))
    return await TREE.score(question, texts)


@hw.task(cost={"tokens": 1})
async def embed(question: str, texts: list[str]) -> list[list[float]]:
    await work("embed", *(question + text for text in texts))
    return await TREE.embed(question, texts)


async def judged(name: str, candidate: Candidate, index: int, errs: float) -> Verdict:
    await work(name, candidate.value, index)
    right = (candidate.answer == RIGHT) != (by_hash(name, candidate.value, index) < errs)
    return Verdict(right, 0.8, "" if right else f"{index % 7}", 1)


@hw.task(cost={"tokens": 1})
async def glance(question: str, candidate: Candidate, index: int) -> Verdict:
    return await judged("glance", candidate, index, 0.3)


@hw.task(cost={"tokens": 1})
async def proof(question: str, candidate: Candidate, index: int) -> Verdict:
    return await judged("proof", candidate, index, 0.02)


def mostly(question: str, index: int) -> Awaitable[Candidate]:
    """The greedy sample."""
    return generate(question, -1 - index)


@hw.task(cost={"tokens": 3})
async def witness(question: str, index: int) -> Candidate:
    """What is only compared with."""
    for _ in range(3):
        await work("witness", question, index)
    return await TREE.generate(question, index)


@hw.task(cost={"tokens": 1})
async def checklist(question: str) -> str:
    await work("checklist", question)
    return "0"


@hw.task(cost={"tokens": 1})
async def by_checklist(question: str, wanted: str, texts: list[str]) -> list[float]:
    await work("by checklist", question, wanted, texts)
    return [text.count(wanted) / TREE.depth for text in texts]


@hw.task(cost={"tokens": 1})
async def label(questions: list[str], index: int) -> list[Candidate]:
    """Answers several questions: each right in most cases, by its place."""
    await work("label", questions, index)
    right = [by_hash("label", question, place) < 0.8 for place, question in enumerate(questions)]
    return [Candidate(str(index), RIGHT if each else "wrong", 1, score=0.9) for each in right]


async def labelled(question: str) -> Found:
    every = [question, *(f"{question}{number}" for number in range(4))]
    found = await search.batch_prompt(every, label, size=3, rounds=5, agree=3, rng=random.Random(1))
    return found[0]


@hw.task(cost={"tokens": 1})
async def look_up(question: str, count: int) -> list[str]:
    await work("look up", question, count)
    return [f"{question} {number}" for number in range(count)]


@hw.task(cost={"tokens": 1})
async def read(question: str, context: search.Context, index: int) -> Candidate:
    await work("read", question, context.documents, index)
    known = len(context.documents) >= 5 or context.last
    return Candidate(f"{index}", RIGHT if known else None, 1)


@hw.task(cost={"tokens": 1})
async def alike(question: str, pairs: list[tuple[str, str]]) -> list[float]:
    """Whether two walks come to the same answer: right in most cases."""
    await work("alike", pairs)
    return [0.9 if (one.strip("0") == other.strip("0")) != (by_hash("alike", one, other) < 0.1) else 0.1 for one, other in pairs]


@hw.task(cost={"tokens": 1})
async def plan(question: str, count: int) -> list[str]:
    await work("plan", question, count)
    return ["up", "down", "up"][:count]


def follow(question: str, outline: str, index: int) -> Awaitable[Candidate]:
    return generate(question.replace("|", f" by {outline}|"), index)


@hw.task(cost={"tokens": 1})
async def summarize(question: str, paths: list[Candidate]) -> Candidate:
    await work("summarize", question, [path.value for path in paths])
    right = any(path.answer == RIGHT for path in paths)
    return Candidate("sum", RIGHT if right else "wrong", 1)


@hw.task(cost={"tokens": 1})
async def right_so_far(question: str, candidate: Candidate, index: int) -> Verdict:
    await work("right so far", question, candidate.value, index)
    return Verdict(not candidate.value.strip("0"))


@hw.task(cost={"tokens": 1})
async def force(question: str, state: State, index: int) -> Candidate:
    await work("force", question, state.value)
    return Candidate(state.value, TREE.answer(state.value), 1)


@hw.task(cost={"tokens": 3})
async def write(question: str, state: State, banned: tuple[str, ...]) -> State:
    for _ in range(3):
        await work("write", question, state.value, banned)
    made = await TREE.step(question, state, len(banned))
    return replace(made, answer=TREE.answer(made.value))


@hw.task(cost={"tokens": 1})
async def sure(question: str, state: State) -> float:
    await work("sure", question, state.value)
    return by_hash("sure", state.value)


async def grounded(question: str) -> Found:
    return (await search.grounded_search(question, step, right_so_far, proof, rounds=8)).found


def again(question: str, candidate: Candidate, feedback: str) -> str:
    return question.replace("|", f" not {candidate.value}|")


POLICY = search.StrategyTable((0.5,), (1.0,), (("vote",), ("beam",)))


async def by_difficulty(question: str) -> Found:
    strategies = {
        "vote": lambda question, given: search.majority(question, generate, n=8, given=given),
        "beam": lambda question, given: search.beam_search(question, step, score, n=4, width=2),
    }
    return await search.compute_optimal(question, generate, score, POLICY, strategies, budget=1, probes=3)


async def plain_generate(question: str, index: int) -> Candidate:
    return await generate(question, index)


async def plain_step(question: str, state: State, index: int) -> State:
    return await step(question, state, index)


async def plain_score(question: str, texts: list[str]) -> list[float]:
    return [value for each in await hw.gather(*(score(question, [text]) for text in texts)) for value in each]


METHODS: dict[str, Callable[[str], Awaitable[Found]]] = {
    "best_of_n": lambda question: search.best_of_n(question, generate, score, n=6),
    "majority": lambda question: search.majority(question, generate, n=12),
    "mbr": lambda question: search.mbr(question, generate, n=4, greedy=mostly, evidence=witness, extra=2),
    "chops": lambda question: search.chops(question, generate, checklist, by_checklist, n=5, greedy=mostly),
    "batch_prompt": labelled,
    "answer_from_documents": lambda question: search.answer_from_documents(question, look_up, read, search.RagSize(2, 0, 5)),
    "solve_or_verify": lambda question: search.solve_or_verify(question, generate, glance, search.Split(5, 3)),
    "deep_prune": lambda question: search.deep_prune(question, step, alike, n=8, prefix=2),
    "follow_outlines": lambda question: search.follow_outlines(question, plan, follow, n=6),
    "follow_outlines and a summary": lambda question: search.follow_outlines(question, plan, follow, n=6, summarize=summarize),
    "para_thinker": lambda question: search.para_thinker(question, generate, summarize, n=6),
    "first_finish": lambda question: search.first_finish(question, generate, n=4),
    "beam_search": lambda question: search.beam_search(question, step, score, n=6, width=2),
    "dvts": lambda question: search.dvts(question, step, score, n=6, width=2),
    "rebase": lambda question: search.rebase(question, step, score, n=6),
    "dora": lambda question: search.dora(question, step, score, embed, n=6),
    "ets": lambda question: search.ets(question, step, score, embed, n=6),
    "grounded_search": grounded,
    "backtrack": lambda question: search.backtrack(question, step, proof, n=40, width=3),
    "restarts": lambda question: search.backtrack(question, step, proof, n=40, restart=True),
    "stop_when_stalled": lambda question: search.stop_when_stalled(question.replace("|", " long|"), step, force, score),
    "suppress_reflection": lambda question: search.suppress_reflection(
        question.replace("|", " slow|"), write, sure, delta=0.0, rng=random.Random(1)
    ),
    "a_star": lambda question: search.a_star(question, step, score, n=12, width=3, parallel=2),
    "solve_detect_verify": lambda question: search.solve_detect_verify(question, step, glance, proof, k=3, rounds=5, revise=again),
    "compute_optimal": by_difficulty,
    "no_thinking": lambda question: search.no_thinking(question, generate, n=6),
    "best_of_n of coroutines": lambda question: search.best_of_n(question, plain_generate, plain_score, n=6),
    "first_finish of coroutines": lambda question: search.first_finish(question, plain_generate, n=4),
    "rebase of coroutines": lambda question: search.rebase(question, plain_step, plain_score, n=6),
    "no_thinking verified": lambda question: search.no_thinking(question, generate, proof, n=6),
}

RACES = ("first_finish", "first_finish of coroutines", "no_thinking verified")
"""Methods that end with their first good answer, so that what they find hangs on what ran when."""


@hw.task
async def find(method: str, question: str) -> Found:
    return await METHODS[method](question)


@hw.task
async def find_all(question: str) -> list[Found]:
    return await hw.gather(*(find(method, question) for method in METHODS))
