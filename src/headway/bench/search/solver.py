"""A model and its questions for search methods: samples, steps, values and a judge, as the parts that `headway.methods.search`
wants.

    solver = Solver(CountdownModel.shipped())
    found = await search.best_of_n("25 8 7 3 -> 82\\n", solver.generate, solver.value, n=16)

Every part makes calls, so it is journaled, budgeted and can be cancelled. `models.sample` charges what is read and written as
`tokens`. Values and embeddings come from the same network as the steps that they judge and cost no tokens. They and verdicts
declare a cost of 0, so they may be called when the budget is used up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import headway as hw
from headway.bench.search.workloads import WORKLOADS, workload_of
from headway.methods.records import Candidate, State, Verdict
from headway.models.ask import sample
from headway.reference.sampling import SmallModel


@dataclass(frozen=True, slots=True)
class Text:
    """A text for a model to look at; the model is named by its name alone."""

    name: str
    text: str
    model: SmallModel = field(compare=False, repr=False)


class Solver:
    """The parts of a search with one of this project's models, on the questions that it was made for.

    Args:
        model: `CountdownModel`, `ArithmeticModel` or another `SmallModel` that a workload names.
        temperature: of samples.
        seed: tells searches of the same question apart.
    """

    def __init__(self, model: SmallModel, *, temperature: float = 1.0, seed: int = 0) -> None:
        self.model, self.temperature, self.seed = model, temperature, seed
        self.workload = workload_of(model)

    async def generate(self, question: str, index: int) -> Candidate[str]:
        """A `Generator`: a whole solution."""
        seed, most = self._seed(index), self.workload.sizes(question).written
        reply = await sample(self.model, question, max_tokens=most, temperature=self.temperature, seed=seed)
        said = reply.samples[0]
        return Candidate(said.text, self.workload.answer(question + said.text), said.tokens, said.logprob)

    async def step(self, question: str, state: State[str], index: int) -> State[str]:
        """A `Stepper`: one more line."""
        seed, before, most = self._seed(index), question + state.value, self.workload.sizes(question).step
        reply = await sample(self.model, before, max_tokens=most, stop="\n", temperature=self.temperature, seed=seed)
        said = reply.samples[0]
        grown = replace(
            state,
            value=f"{state.value}{said.text}\n",
            tokens=state.tokens + said.tokens,
            logprob=state.logprob + (said.logprob or 0.0),
        )
        whole = question + grown.value
        if not self.workload.is_legal(whole):
            return replace(grown, done=True)
        return replace(grown, done=self.workload.is_whole(whole), answer=self.workload.answer(whole))

    async def attempt(self, question: str, state: State[str], index: int) -> State[str]:
        """A `Stepper` that goes all the way in one step: nothing is read twice."""
        made = await self.generate(question + state.value, index)
        return replace(state, value=state.value + made.value, tokens=state.tokens + made.tokens, done=True, answer=made.answer)

    async def value(self, question: str, values: list[str]) -> list[float]:
        """A `Scorer`: how likely it is that it still ends well, as the value head says; 0 where rules are broken or the last line
        breaks off."""
        return await hw.gather(*(value_of(self._text(question + value)) for value in values))

    async def embed(self, question: str, values: list[str]) -> list[list[float]]:
        """An `Embedder`: what the model makes of each text."""
        return await hw.gather(*(embedding_of(self._text(question + value)) for value in values))

    async def weigh(self, question: str, candidate: Candidate[str], index: int) -> Verdict:
        """A `Verifier`: what the value head says of a whole solution. It can be wrong."""
        (value,) = await self.value(question, [candidate.value])
        return Verdict(value > 0.5, abs(2 * value - 1))

    async def check(self, question: str, candidate: Candidate[str], index: int) -> Verdict:
        """A `Verifier`: reasoning-gym's scorer, which is never wrong."""
        return Verdict(await judge(question + candidate.value, self.workload.name))

    def _text(self, text: str) -> Text:
        return Text(self.model.name, text, self.model)

    def _seed(self, index: int) -> int:
        return self.seed * 1_000_003 + index


@hw.task(batch=256, linger_s=0.001, batches=1, cost={"tokens": 0})
def value_of(texts: list[Text]) -> list[float]:
    """What the value head says of texts."""
    return _apart(_values, texts)


def _values(texts: list[Text]) -> list[float]:
    legal = [place for place, each in enumerate(texts) if workload_of(each.model).is_legal(each.text)]
    found = [0.0] * len(texts)
    for model, places in _by_model([texts[place] for place in legal]):
        for at, value in zip(places, model.values([texts[legal[at]].text for at in places]), strict=True):
            found[legal[at]] = value
    return found


@hw.task(batch=256, linger_s=0.001, batches=1, cost={"tokens": 0})
def embedding_of(texts: list[Text]) -> list[list[float]]:
    """What the model makes of texts."""
    return _apart(_embeddings, texts)


def _embeddings(texts: list[Text]) -> list[list[float]]:
    found: list[list[float]] = [[] for _ in texts]
    for model, places in _by_model(texts):
        for at, vector in zip(places, model.embeddings([texts[at].text for at in places]), strict=True):
            found[at] = vector
    return found


@hw.task(cost={"tokens": 0})
async def judge(text: str, workload: str = "countdown") -> bool:
    """What reasoning-gym says of a text."""
    return WORKLOADS[workload].solves(text)


def _apart(look: Callable[[list[Text]], list[Any]], texts: list[Text]) -> list[Any]:
    """What a look at texts says of them. Where it fails, each by itself, so that only the one that is to blame does."""
    try:
        return look(texts)
    except Exception as error:
        if len(texts) == 1:
            return [error]
        return [said for text in texts for said in _apart(look, [text])]


def _by_model(texts: list[Text]) -> list[tuple[SmallModel, list[int]]]:
    groups: dict[int, list[int]] = {}
    for place, each in enumerate(texts):
        groups.setdefault(id(each.model), []).append(place)
    return [(texts[places[0]].model, places) for places in groups.values()]
