"""Answers from documents: how many, with how many worked examples, in how many steps."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, Protocol, TypeVar

from headway.errors import UsageError
from headway.methods import settings
from headway.methods.records import Candidate
from headway.methods.search.failures import SAMPLE_ERRORS, Errors, Failed, Failures
from headway.methods.search.found import Found, choose
from headway.methods.search.parts import of_kind
from headway.methods.search.select.selectors import best
from headway.scopes.anytime import anytime

Q = TypeVar("Q")
Q_contra = TypeVar("Q_contra", contravariant=True)
V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)
D = TypeVar("D")
D_co = TypeVar("D_co", covariant=True)


@dataclass(frozen=True, slots=True)
class RagSize:
    """How much an answer from documents may read.

    Attributes:
        documents: looked up for the question, and for each question on the way.
        shots: worked examples in the prompt.
        iterations: prompts at most; with one, the question is answered from its own documents.
    """

    documents: int
    shots: int = 0
    iterations: int = 1

    def __post_init__(self) -> None:
        settings.whole_number("RagSize", documents=self.documents, shots=self.shots)
        settings.at_least_one("RagSize", iterations=self.iterations)


@dataclass(frozen=True, slots=True)
class Context(Generic[D]):
    """What a prompt holds besides the question.

    Attributes:
        documents: what was looked up so far, in the order in which it was; none twice.
        shots: worked examples.
        asked: the questions on the way, in their order.
        last: whether there must be an answer now.
    """

    documents: tuple[D, ...]
    shots: tuple[object, ...] = ()
    asked: tuple[object, ...] = ()
    last: bool = True


class Retriever(Protocol[Q_contra, D_co]):
    """Looks up so many documents for a question, the best first; fewer where there are no more."""

    def __call__(self, question: Q_contra, count: int, /) -> Awaitable[Sequence[D_co]]: ...


class Reader(Protocol[Q_contra, D, V_co]):
    """Answers a question from a context; a candidate without an answer is a question on the way, its value, to be looked up."""

    def __call__(self, question: Q_contra, context: Context[D], index: int, /) -> Awaitable[Candidate[V_co]]: ...


async def answer_from_documents(
    question: Q,
    retrieve: Retriever[Q | V, D],
    read: Reader[Q, D, V],
    size: RagSize,
    *,
    examples: Sequence[object] = (),
    errors: Errors = SAMPLE_ERRORS,
) -> Found[V]:
    """Answer a question from documents, by way of further questions where one look-up is not enough.

    With one iteration, the documents of the question are read and it is answered (DRAG). With more, the model may ask for something
    else instead of answering; that is looked up, added to what it reads, and it is asked again (IterDRAG). The last prompt must
    answer.

    Args:
        question: what is asked.
        retrieve: looks documents up.
        read: answers, or asks on.
        size: how many documents, examples and iterations; `RagScaling.choose` finds one.
        examples: worked examples, the most useful first.
        errors: what a part may fail with at one place: without documents of a look-up it goes on, without an answer it ends.

    Returns:
        What each prompt gave, in order; the best is the answer.

    Raises:
        UsageError: there are fewer examples than `size` has shots.
        Exception: what the parts raise, but for budgets and deadlines, which end the search.

    Example:
        >>> asyncio.run(answer_from_documents("17+25=", look_up, read, RagSize(documents=2, iterations=3))).answer
        '42'

    Source:
        DRAG and IterDRAG, in "Inference scaling for long-context retrieval augmented generation": Yue et al., arXiv 2410.04343;
        after the idea of, from the abstract.
    """
    if not isinstance(size, RagSize):
        raise UsageError(f"answer_from_documents: size={size!r:.80}: a search.RagSize, such as RagSize(documents=8, iterations=3)")
    if len(examples) < size.shots:
        raise UsageError(f"answer_from_documents: size= has {size.shots} shots, examples= only {len(examples)}")
    settings.function("answer_from_documents", retrieve=retrieve, read=read)
    found: dict[int, Candidate[V]] = {}
    failed = Failures(errors)
    documents: dict[D, None] = {}
    asked: list[V] = []

    with anytime(found) as block:
        wanted: Q | V = question
        for index in range(size.iterations):
            if size.documents:
                looked_up = await failed.spare(index, retrieve(wanted, size.documents))
                if not isinstance(looked_up, Failed):
                    documents |= dict.fromkeys(islice(looked_up, size.documents))
            context = Context(tuple(documents), tuple(examples[: size.shots]), tuple(asked), index + 1 == size.iterations)
            said = await failed.spare(index, call := read(question, context, index))
            if isinstance(said, Failed):
                break
            candidate: Candidate[V] = of_kind(Candidate, read, said, call)
            block.keep(index, candidate)
            if candidate.answer is not None:
                break
            asked.append(wanted := candidate.value)
    return choose(found, best, block.stopped, sum(each.tokens for each in found.values()), failed)
