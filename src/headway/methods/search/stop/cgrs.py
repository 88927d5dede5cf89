"""Suppress words of doubt where a model is certain of its answer."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from random import Random
from typing import Protocol, TypeVar

from headway.context import random
from headway.errors import UsageError
from headway.methods import settings
from headway.methods.records import Candidate, State
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.methods.search.found import Found, choose
from headway.methods.search.parts import of_kind
from headway.methods.search.select.selectors import likeliest
from headway.methods.search.tree.loop import NOTHING_SAID, leaf
from headway.scopes.anytime import anytime

Q = TypeVar("Q")
Q_contra = TypeVar("Q_contra", contravariant=True)
S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)

TRIGGERS = ("Wait", "But", "Alternatively", "Hmm")
"""Words that a model begins a reflection with."""


class Writer(Protocol[Q_contra, S]):
    """Writes the next passage, to the next blank line, without the words that are banned as its first."""

    def __call__(self, question: Q_contra, state: State[S], banned: tuple[str, ...], /) -> Awaitable[State[S]]: ...


class Prober(Protocol[Q_contra, S_contra]):
    """How certain the model would be of its final answer if it gave it now, from 0 to 1: what `certainty` says of its logits."""

    def __call__(self, question: Q_contra, state: State[S_contra], /) -> Awaitable[float]: ...


def certainty(distributions: Sequence[Sequence[float]]) -> float:
    """How certain a model was of some tokens: 1 - (mean entropy of their distributions) / log(size of the vocabulary). Pure.

    Args:
        distributions: for each token of the answer, the probability of every word of the vocabulary; each adds up to 1.

    Returns:
        From 0, where every word was as likely, to 1.

    Raises:
        UsageError: there are no tokens, a vocabulary has fewer than two words, or the numbers are no distributions of one size.

    Example:
        >>> certainty([[1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0]])
        0.75
    """
    sizes = {len(each) for each in distributions}
    if len(sizes) != 1 or min(sizes) < 2:
        raise UsageError("certainty: distributions: give one or more, all over the same words, at least two of them")
    for each in distributions:
        if not all(0 <= share <= 1 + settings.ROUNDING for share in each) or abs(math.fsum(each) - 1) > 1e-3:
            raise UsageError("certainty: distributions: give probabilities from 0 to 1 that add up to 1 for each")
    entropies = [-math.fsum(share * math.log(share) for share in each if share > 0) for each in distributions]
    return 1 - math.fsum(entropies) / len(entropies) / math.log(min(sizes))


def chance_of_ban(certain: float, delta: float = 0.9) -> float:
    """How likely words of doubt are banned from the next passage. Pure.

    Args:
        certain: how certain the model is, from 0 to 1.
        delta: the certainty from which on they may be, from 0 to below 1.

    Returns:
        0 up to `delta`, and from there on a line to 1 at full certainty.

    Example:
        >>> chance_of_ban(0.5), round(chance_of_ban(0.95), 3), chance_of_ban(1.0)
        (0.0, 0.5, 1.0)
    """
    settings.probability("chance_of_ban", certain=certain)
    settings.number("chance_of_ban", 0, 1 - settings.ROUNDING, delta=delta)
    return min(1.0, max(0.0, (certain - delta) / (1 - delta)))


async def suppress_reflection(
    question: Q,
    write: Writer[Q, S],
    probe: Prober[Q, S],
    *,
    delta: float = 0.9,
    triggers: Sequence[str] = TRIGGERS,
    rng: Random | None = None,
    depth: int = 40,
    start: State[S] = NOTHING_SAID,
    errors: Errors = SAMPLE_ERRORS,
) -> Found[S]:
    """Write passage by passage; between two of them, ban words of doubt the likelier, the more certain the model is of its answer.

    Reflection helps a model that is unsure, and makes one that is sure say the same again. Its own logits tell the two apart.

    It departs in where it works: the paper bans words inside of the decoding loop of one call; here a passage is a call, and the
    model takes the ban with it (as a logit bias or a stop).

    Args:
        question: what the parts are told.
        write: writes the next passage.
        probe: how certain the model is of the answer that it would give now; asked after every passage that is not the last.
        delta: the certainty from which on words are banned, from 0 to below 1.
        triggers: the words.
        rng: what chance comes from; by default `hw.random()`, which a resumed run draws from alike.
        depth: passages at most.
        start: where writing starts; an empty text.
        errors: what a part may fail with at one place without failing the search; see `Found.errors`. A probe that fails bans
            nothing; a passage that fails ends the writing.

    Returns:
        The text, as the one candidate; its score is the last certainty that was probed. Where a bound ends the writing, the text
        up to the last passage that had an answer.

    Raises:
        UsageError: a certainty is no probability.
        Exception: what the parts raise, but for budgets and deadlines, which end the search.

    Example:
        >>> async def write(question, state, banned):
        ...     return await next_digit(question, state, len(banned))
        >>> async def sure(question, state):
        ...     return 1.0
        >>> asyncio.run(suppress_reflection("12+30=", write, sure)).answer
        '42'

    Source:
        CGRS, certainty-guided reflection suppression: Huang et al., arXiv 2508.05337; after the idea of, from notes on it.
    """
    settings.at_least_one("suppress_reflection", depth=depth)
    settings.number("suppress_reflection", 0, 1 - settings.ROUNDING, delta=delta)
    settings.function("suppress_reflection", write=write, probe=probe)
    settings.instance("suppress_reflection", State, start=start)
    if isinstance(triggers, str) or not all(isinstance(word, str) and word for word in triggers):
        raise UsageError(f"suppress_reflection: triggers={triggers!r:.80}: a list of words")
    failed = Failures(errors)
    found: dict[int, Candidate[S]] = {}
    draws = rng or random()
    state, banned, certain = start, tuple[str, ...](), None

    with anytime(found) as block:
        for place in range(depth):
            asked = write(question, state, banned)
            made = await failed.spare(place, asked)
            if isinstance(made, Failed):
                break
            state = replace(of_kind(State, write, made, asked), depth=state.depth + 1)
            if state.done or state.answer is not None or place == depth - 1:
                block.keep(0, leaf(state, certain))
            if state.done:
                break
            said = await failed.spare(place, probe(question, state))
            certain = certain if isinstance(said, Failed) else said
            sure = 0.0 if isinstance(said, Failed) else chance_of_ban(said, delta)
            banned = tuple(triggers) if draws.random() < sure else ()
    return choose(found, likeliest, block.stopped, state.tokens, failed)
