"""How many plans of the trained planner are exactly right, and what a vote of its noisy sister is worth.

All questions are of the split "test": training never saw a plan of them in any words. The baseline needs no network: it takes the
plan of the most similar question of training, by the words besides names (weighted by how rare they are), and puts in the names of
the question in their order. It has seen 10,000 questions of training, the planner 230,000.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise

from benchmarks.methods.row import Held, Pair, Row
from headway.errors import UsageError
from headway.models.base import Request
from headway.reference.planner import facts
from headway.reference.planner.measure import MOST, are_exact, write_plans
from headway.reference.planner.plans import Step, read_plan, write_plan
from headway.reference.planner.questions import LONGER, Mix, Question, make_questions
from headway.reference.planner.sampling import PlannerModel
from headway.reference.planner.tokens import ASK, END, NAMES, decode, encode

COUNT = 100  # questions of a seed
KNOWN = 10_000  # questions of training that the baseline has seen
VOTES, TEMPERATURE = 9, 0.7  # chosen on the split "choose": at 1.0 samples are wrong too often, below 0.5 they are too alike
NEW, REWORDED = Mix(), Mix(kept=True)
FAMILIES = tuple(name for name, _ in NEW.families)
_OF_NAME = {encode(name)[0]: name for name in NAMES}


@cache
def noisy() -> PlannerModel:
    return PlannerModel.load(PlannerModel.noisy)


def short(seed: int) -> Sequence[Question]:
    return [question for question in make_questions("test", seed, 3 * COUNT) if question.is_short][:COUNT]


def new(seed: int) -> Sequence[Question]:
    return make_questions("test", seed, COUNT, NEW)


def reworded(seed: int) -> Sequence[Question]:
    return make_questions("test", seed, COUNT, REWORDED)


def longer(seed: int) -> Sequence[Question]:
    return make_questions("test", seed, COUNT, LONGER)


def exact(plans: Sequence[str], questions: Sequence[Question]) -> float:
    """The share of exact plans."""
    return sum(are_exact(plans, questions)) / len(questions)


# --- the baseline ----------------------------------------------------------------------------------------------------


class Nearest:
    """Questions of training by their words, without the names in them."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self.questions = questions
        self.names = [_names(question.text) for question in questions]
        words = [Counter(_words(question.text)) for question in questions]
        seen = Counter(word for of in words for word in of)
        self.weight = {word: math.log(len(questions) / count) for word, count in seen.items()}
        self.having: dict[tuple[int, str], list[tuple[int, float]]] = defaultdict(list)  # by the number of names, and a word
        for place, of in enumerate(words):
            norm = math.hypot(*(count * self.weight[word] for word, count in of.items())) or 1.0
            for word, count in of.items():
                self.having[len(self.names[place]), word].append((place, count * self.weight[word] / norm))

    def plan(self, text: str) -> str:
        """The plan of the most similar question with as many names, with the names of this one; "" where there is none."""
        names = _names(text)
        score: dict[int, float] = defaultdict(float)
        for word, count in Counter(_words(text)).items():
            for place, worth in self.having[len(names), word]:
                score[place] += worth * count * self.weight[word]
        if not score:
            return ""
        found = max(score, key=lambda place: score[place])
        instead = dict(zip(self.names[found], names, strict=True))
        steps = self.questions[found].steps
        return write_plan(tuple(Step(step.tool, tuple(instead.get(each, each) for each in step.arguments)) for step in steps))


def _words(text: str) -> list[str]:
    """The words besides names, and each with the word before it."""
    words = decode(token for token in encode(text) if token not in _OF_NAME and token not in (ASK, END)).split()
    return [*words, *map(" ".join, pairwise(words))]


def _names(text: str) -> list[str]:
    return [_OF_NAME[token] for token in encode(text) if token in _OF_NAME]


@cache
def nearest() -> Nearest:
    return Nearest(make_questions("train", 1, KNOWN))


# --- what is measured ------------------------------------------------------------------------------------------------


def against_nearest(questions: Callable[[int], Sequence[Question]]) -> Callable[[int], Pair]:
    """The share of exact plans of the planner, and of the baseline."""

    def measure(seed: int) -> Pair:
        asked = questions(seed)
        ours = write_plans(PlannerModel.shipped(), asked)
        return Pair(exact(ours, asked), exact([nearest().plan(question.text) for question in asked], asked))

    return measure


def worst_family(seed: int) -> Pair:
    """The share of exact plans in the family where it is smallest, of 25 questions each; of the planner, and of the baseline."""

    def of(family: str) -> Pair:
        return against_nearest(lambda seed: make_questions("test", seed, 25, Mix(families=((family, 1.0),))))(seed)

    return Pair(*map(min, zip(*map(of, FAMILIES), strict=True)))


def against_promise(seed: int) -> Pair:
    """The share of exact plans for short questions, and what was promised."""
    asked = short(seed)
    return Pair(exact(write_plans(PlannerModel.shipped(), asked), asked), 0.9)


def against_noisy(questions: Callable[[int], Sequence[Question]]) -> Callable[[int], Pair]:
    """The share of exact plans of the planner, and of the noisy one."""

    def measure(seed: int) -> Pair:
        asked = questions(seed)
        return Pair(*(exact(write_plans(model, asked), asked) for model in (PlannerModel.shipped(), noisy())))

    return measure


def sample_plans(asked: Sequence[Question], seed: int) -> list[list[str]]:
    """Plans of the noisy planner: `VOTES` for each question."""
    requests = [Request(prompt=question.prompt, n=VOTES, seed=seed, max_tokens=MOST, temperature=TEMPERATURE) for question in asked]
    return [[sample.text for sample in reply.samples] for reply in noisy().sample_batch(requests)]


def voted(seed: int) -> Pair:
    """The share of exact plans where sampled plans vote, and of the likeliest plan."""
    asked = new(seed)
    return Pair(exact(elect(sample_plans(asked, seed)), asked), exact(write_plans(noisy(), asked), asked))


def voted_against_one(seed: int) -> Pair:
    """The share of exact plans where sampled plans vote, and of all of them."""
    asked = new(seed)
    sampled = sample_plans(asked, seed)
    each = [exact([plans[place] for plans in sampled], asked) for place in range(VOTES)]
    return Pair(exact(elect(sampled), asked), sum(each) / VOTES)


def elect(sampled: Sequence[Sequence[str]]) -> list[str]:
    """The most frequent plan of each question."""
    return [Counter(plans).most_common(1)[0][0] for plans in sampled]


def voted_by_answer(seed: int) -> Pair:
    """The share of right answers where the answers of sampled plans vote, and of the likeliest plan's answer."""
    asked = new(seed)
    right = [answer_of(question.plan) for question in asked]
    votes = [Counter(answer for plan in plans if (answer := answer_of(plan))) for plans in sample_plans(asked, seed)]
    chosen = [vote.most_common(1)[0][0] if vote else "" for vote in votes]
    likeliest = [answer_of(plan) for plan in write_plans(noisy(), asked)]
    return Pair(*(sum(map(str.__eq__, of, right)) / COUNT for of in (chosen, likeliest)))


def among(seed: int) -> Pair:
    """The share of questions with an exact plan among the samples, and of exact likeliest plans."""
    asked = new(seed)
    found = sum(question.plan in plans for question, plans in zip(asked, sample_plans(asked, seed), strict=True))
    return Pair(found / COUNT, exact(write_plans(noisy(), asked), asked))


def answer_of(plan: str) -> str:
    """What a plan finds in the atlas, in words; nothing where it is no plan or can't be done."""
    try:
        return repr(facts.run_plan(read_plan(plan), facts.lookup))
    except (UsageError, LookupError, ZeroDivisionError):
        return ""


_TESTS = "tests/reference/test_planner.py"
_CLAIM = "a small model writes exact plans with dependent steps for questions that it never saw"
_NEAREST = "the plan of the most similar question of training, with the names of this one"


def _row(shows: str, measure: Callable[[int], Pair], **other: object) -> Row:
    settings: dict[str, object] = {
        "method": "Planner",
        "function": "headway.reference.planner.sampling.PlannerModel",
        "item": "planner",
        "claim": _CLAIM,
        "baseline": _NEAREST,
        "unit": "share of exact plans",
        "reached": lambda low, high: low > 0,
        "test": f"{_TESTS}::test_the_planner_is_exact_on_short_questions_that_training_never_saw",
        "compare": "difference",
    }
    return Row(shows=shows, measure=measure, **{**settings, **other})  # type: ignore[arg-type]  # each is a field of Row


_NOISY = {
    "method": "Noisy planner",
    "test": f"{_TESTS}::test_samples_of_the_noisy_planner_differ_and_the_right_one_is_often_among_them",
}
_AGREE = "samples that agree are right more often (self-consistency, arXiv 2203.11171)"
_SAME = "Where the likeliest plan is wrong, most votes elect the very same plan (54 of 75 that were looked at)."

ROWS: list[Row | Held] = [
    _row(
        "short plans (at most 4 steps) for new questions are exact nine times in ten",
        against_promise,
        baseline="the promise, 0.9",
        reached=lambda low, high: low >= 0,
    ),
    _row("new questions, plans of all lengths", against_nearest(new)),
    _row("new questions in wordings that training never saw", against_nearest(reworded)),
    _row(
        "lists of 7 and 8, longer than any in training",
        against_nearest(longer),
        reason="It looks up six: the first five and the last. The baseline has no such plan.",
    ),
    _row("new questions of the family of twelve where fewest are exact", worst_family),
    _row(
        "early weights are right less often than the last",
        against_noisy(new),
        method="Noisy planner",
        claim="early weights make mistakes that voting and replanning can be measured on",
        baseline="the noisy planner",
        test=f"{_TESTS}::test_the_noisy_planner_is_right_more_often_than_not_and_errs",
    ),
    _row(
        f"the most frequent of {VOTES} sampled plans is exact more often than one of them",
        voted_against_one,
        **_NOISY,
        claim=_AGREE,
        baseline="one sampled plan",
    ),
    _row(
        f"the most frequent of {VOTES} sampled plans is exact more often than the likeliest plan",
        voted,
        **_NOISY,
        claim=_AGREE,
        baseline="one plan, the likeliest",
        reason=_SAME,
    ),
    _row(
        f"the most frequent answer of {VOTES} sampled plans is right more often than that of the likeliest plan",
        voted_by_answer,
        **_NOISY,
        claim=_AGREE,
        baseline="one plan, the likeliest",
        unit="share of right answers",
        reason=_SAME,
    ),
    _row(
        f"an exact plan is among {VOTES} samples more often than the likeliest one is exact",
        among,
        **_NOISY,
        claim="a verifier of plans could choose",
        baseline="one plan, the likeliest",
    ),
    Held(
        item="planner",
        promise="Planner: a training that is killed ends with the curve and the weights of one that isn't, early weights included",
        tests=(f"{_TESTS}::test_a_training_that_was_killed_ends_with_the_curve_and_weights_of_an_undisturbed_one",),
    ),
    Held(
        item="planner",
        promise="Planner: no question, wording or length that it is measured on is in its training",
        tests=(
            f"{_TESTS}::test_a_question_belongs_to_one_split_whatever_its_words",
            f"{_TESTS}::test_training_sees_no_wording_that_is_kept",
            f"{_TESTS}::test_training_sees_no_list_that_is_longer_than_said",
        ),
    ),
    Held(
        item="planner",
        promise="Planner: a plan is told while it is written, and what was told never changes",
        tests=(
            f"{_TESTS}::test_a_plan_is_told_line_by_line_while_it_is_written",
            f"{_TESTS}::test_what_is_written_of_a_plan_never_changes_what_was_told_of_it",
            "tests/reference/test_sampling.py::test_a_stream_tells_the_samples_of_the_batch_token_by_token",
        ),
    ),
    Held(
        item="planner",
        promise="Planner: a name that it doesn't know, a text that is no plan, a step that can't be done: one sentence",
        tests=(
            f"{_TESTS}::test_a_word_that_no_wording_has_is_read_as_unknown_and_a_name_is_refused",
            f"{_TESTS}::test_what_is_no_plan_is_refused_in_words",
            f"{_TESTS}::test_a_step_that_cannot_be_done_says_why",
        ),
    ),
]
"""What the planners must show."""
