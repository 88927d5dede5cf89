"""Think episode by episode, and stop when thinking makes no more progress."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from math import fsum
from typing import Protocol, TypeVar

from headway.methods import settings
from headway.methods.protocols import Scorer, Selector, Stepper
from headway.methods.records import Candidate, State
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.methods.search.found import Found, choose
from headway.methods.search.parts import call_stepper, of_kind
from headway.methods.search.tree.loop import NOTHING_SAID, leaf
from headway.scopes.anytime import anytime

Q = TypeVar("Q")
Q_contra = TypeVar("Q_contra", contravariant=True)
S = TypeVar("S")


class Forcer(Protocol[Q_contra, S]):
    """Answers now, from what was thought so far. `index` is the number of the episode."""

    def __call__(self, question: Q_contra, state: State[S], index: int, /) -> Awaitable[Candidate[S]]: ...


@dataclass(frozen=True, slots=True)
class Progress:
    """How likely an answer would have been right after each episode, if it had had to be given then.

    Attributes:
        chances: of success, from 0 to 1, the first episode first.

    Raises:
        UsageError: a chance is no probability.

    Example:
        >>> seen = Progress()
        >>> for chance in (0.2, 0.5, 0.7, 0.7, 0.7):
        ...     seen = seen.observe(chance)
        >>> round(seen.bonus, 3), round(seen.slope(3), 3), round(seen.regret(best=0.7), 3)
        (0.0, 0.0, 0.7)
        >>> seen.is_stalled(window=4), seen.is_stalled(window=3)
        (False, True)
    """

    chances: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for chance in self.chances:
            settings.probability("Progress", chance=chance)

    def observe(self, chance: float, /) -> Progress:
        """Add an episode.

        Args:
            chance: of success after it, from 0 to 1.

        Returns:
            The progress after one more episode.

        Raises:
            UsageError: the chance is no probability.
        """
        return Progress((*self.chances, chance))

    @property
    def bonus(self) -> float:
        """What the last episode added to the chance of success; the first is compared with none."""
        before, last = (0.0, 0.0, *self.chances)[-2:]
        return last - before

    def slope(self, window: int) -> float:
        """What an episode added on the average of the last ones: the line of least squares through them.

        Args:
            window: how many episodes; two at least.

        Returns:
            What an episode added to the chance of success.

        Raises:
            UsageError: the window is below 2, or there were fewer episodes.
        """
        settings.whole_number("Progress.slope", least=2, window=window)
        settings.whole_number("Progress.slope", least=window, episodes=len(self.chances))
        middle = (window - 1) / 2
        along = fsum((place - middle) * chance for place, chance in enumerate(self.chances[-window:]))
        return along / fsum((place - middle) ** 2 for place in range(window))

    def regret(self, best: float = 1.0) -> float:
        """What was lost over all episodes against somebody who has a chance from the first one on.

        Args:
            best: that chance, from 0 to 1.

        Returns:
            The cumulative regret: the sum of what each episode lacked.

        Raises:
            UsageError: `best` is no probability.
        """
        settings.probability("Progress.regret", best=best)
        return fsum(best - chance for chance in self.chances)

    def is_stalled(self, window: int = 4, least: float = 0.02) -> bool:
        """Whether the last episodes added almost nothing.

        Args:
            window: how many; two at least.
            least: what each must have added for progress, from 0 to 1.

        Returns:
            Whether they added no more than that on the average; False before there were so many.

        Raises:
            UsageError: a setting makes no sense.
        """
        settings.whole_number("Progress.is_stalled", least=2, window=window)
        settings.number("Progress.is_stalled", 0, 1, least=least)
        return len(self.chances) >= window and self.slope(window) <= least


def latest(candidates: Sequence[Candidate[object]]) -> int:
    """The last that has an answer. A selector."""
    return max(range(len(candidates)), key=lambda place: (candidates[place].answer is not None, place))


async def stop_when_stalled(
    question: Q,
    step: Stepper[Q, S],
    force: Forcer[Q, S],
    score: Scorer[Q, S],
    *,
    window: int = 4,
    least: float = 0.02,
    depth: int = 40,
    select: Selector[S] = latest,
    start: State[S] = NOTHING_SAID,
    errors: Errors = SAMPLE_ERRORS,
) -> Found[S]:
    """Think in episodes, and after each ask for the answer so far. Stop when its chance of being right has stopped rising.

    A fixed length spends as much where more thought helps no more as where it does. A threshold on confidence never ends a question
    that the model will not get right. Measured progress ends both.

    It departs from the paper, which trains a model with this progress as a reward. This is its use at run time: the same quantity
    decides when to stop. It departs in smoothing it, by a line through the last episodes, because a scorer is noisy.

    Args:
        question: what the parts are told.
        step: thinks one episode more; always with index 0.
        force: answers from what was thought so far. It is not asked where an episode ends with an answer.
        score: how likely the answer is right, from 0 to 1.
        window: episodes that progress is measured over; two at least.
        least: what an episode must add to the chance of success for thinking to go on.
        depth: episodes at most.
        select: takes one of the answers; by default the latest, which most thought went into.
        start: where thinking starts; an empty text.
        errors: what a part may fail with at one place without failing the search; see `Found.errors`. An answer that fails or
            can't be scored says nothing about progress; an episode that fails ends the thinking.

    Returns:
        The answer after each episode, with its chance as score.

    Raises:
        UsageError: a score is no probability.
        Exception: what the parts raise, but for budgets and deadlines, which end the search.

    Example:
        >>> async def as_it_is(question, state, index):
        ...     return search.Candidate(state.value, state.value, 1)
        >>> asyncio.run(stop_when_stalled("12+30=", next_digit, as_it_is, value)).answer
        '42'

    Source:
        MRT, meta reinforcement fine-tuning: Qu et al., arXiv 2503.07572; after the idea of, from the abstract.
    """
    settings.whole_number("stop_when_stalled", least=2, window=window)
    settings.at_least_one("stop_when_stalled", depth=depth)
    settings.number("stop_when_stalled", 0, 1, least=least)
    settings.function("stop_when_stalled", step=step, force=force, score=score, select=select)
    settings.instance("stop_when_stalled", State, start=start)
    failed = Failures(errors)
    found: dict[int, Candidate[S]] = {}
    state, progress, forced = start, Progress(), 0

    async def answer(place: int) -> Candidate[S] | Failed:
        """The answer so far."""
        if state.done and state.answer is not None:
            return leaf(state)
        asked = force(question, state, place)
        said = await failed.spare(place, asked)
        return said if isinstance(said, Failed) else of_kind(Candidate, force, said, asked)

    with anytime(found) as block:
        for place in range(depth):
            made = await failed.spare(place, call_stepper(step, question, state, 0))
            if isinstance(made, Failed):
                break
            state = replace(made, depth=state.depth + 1)
            said = await answer(place)
            if isinstance(said, Failed):
                continue
            block.keep(place, said)
            forced += 0 if state.done else said.tokens
            (chance,) = await failed.scores([place], score, question, [said.value], probable=True)
            if chance is not None:
                block.keep(place, replace(said, score=chance))
                progress = progress.observe(chance)
            if state.done or progress.is_stalled(window, least):
                break
    return choose(found, select, block.stopped, state.tokens + forced, failed)
