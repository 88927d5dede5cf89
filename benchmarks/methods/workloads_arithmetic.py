"""The workload that tells methods apart: what its answers are worth, and its verifier.

Seeds 0 to 4 are measured; the mixes of questions and the verifier's settings were chosen on questions of other splits.
"""

from __future__ import annotations

from functools import lru_cache

from benchmarks.methods.row import Held, Pair, Row

_QUESTIONS, _SAMPLES = 60, 8


@lru_cache(maxsize=8)
def _answers(seed: int) -> tuple[tuple[bool, float, float], ...]:
    """Whole answers of the arithmetic model to test questions: whether each is right, its value, its log-probability by token."""
    from headway.models.base import Request
    from headway.reference.arithmetic.expression import answer
    from headway.reference.arithmetic.judge import solves
    from headway.reference.arithmetic.questions import MEASURED, make_questions
    from headway.reference.arithmetic.sampling import ArithmeticModel

    model = ArithmeticModel.shipped()
    questions = make_questions("test", 100 + seed, _QUESTIONS, MEASURED)
    asked = [Request(prompt=each.prompt, n=_SAMPLES, seed=number, max_tokens=100) for number, each in enumerate(questions)]
    texts = [
        (each.prompt + sample.text, sample.logprob / max(1, sample.tokens))
        for each, reply in zip(questions, model.sample_batch(asked), strict=True)
        for sample in reply.samples
        if answer(each.prompt + sample.text) is not None
    ]
    values = model.values([text for text, _ in texts])
    return tuple((solves(text), value, sure) for (text, sure), value in zip(texts, values, strict=True))


def measure_answers(seed: int) -> Pair:
    """The share of whole answers that are right: on arithmetic, and on Countdown."""
    from headway.models.base import Request
    from headway.reference.countdown.batches import make_held_out_puzzles
    from headway.reference.countdown.judge import solves
    from headway.reference.countdown.puzzle import answer
    from headway.reference.countdown.sampling import CountdownModel

    puzzles = make_held_out_puzzles(100 + seed, _QUESTIONS)
    asked = [Request(prompt=each.prompt, n=_SAMPLES, seed=number, max_tokens=16) for number, each in enumerate(puzzles)]
    replies = CountdownModel.shipped().sample_batch(asked)
    texts = [each.prompt + sample.text for each, reply in zip(puzzles, replies, strict=True) for sample in reply.samples]
    answered = [text for text in texts if answer(text) is not None]
    right = [is_right for is_right, _, _ in _answers(seed)]
    return Pair(sum(right) / len(right), sum(map(solves, answered)) / len(answered))


def measure_room(seed: int) -> Pair:
    """The share of samples that are right, and the most that leaves methods something to gain."""
    return Pair(sum(right for right, _, _ in _answers(seed)) / (_QUESTIONS * _SAMPLES), 0.6)


def measure_verifier(seed: int) -> Pair:
    """The AUROC of the verifier on whole answers, and that of the model's own log-probability, by token."""
    from headway.reference.measure import auroc

    right = [is_right for is_right, _, _ in _answers(seed)]
    return Pair(auroc([value for _, value, _ in _answers(seed)], right), auroc([sure for _, _, sure in _answers(seed)], right))


ROWS = [
    Row(
        method="A workload that tells methods apart",
        function="headway.reference.arithmetic.sampling.ArithmeticModel",
        item="workloads",
        claim="wrong answers look right",
        shows="an answer that has the form of one is no proof",
        baseline="Countdown, where it is",
        unit="share of whole answers that are right",
        measure=measure_answers,
        reached=lambda low, high: high < 0.8,
        test="tests/reference/test_solving_arithmetic.py::"
        "test_answers_look_right_and_are_often_wrong_and_the_verifier_tells_many_of_them",
    ),
    Row(
        method="A workload that tells methods apart",
        function="headway.reference.arithmetic.sampling.ArithmeticModel",
        item="workloads",
        claim="wrong answers look right",
        shows="a sample is right in 20 to 60 % of cases, so methods have something to gain",
        baseline="60 %",
        unit="share of samples that are right (pass@1)",
        measure=measure_room,
        compare="difference",
        reached=lambda low, high: low > -0.4 and high < 0,
        test="tests/reference/test_solving_arithmetic.py::"
        "test_answers_look_right_and_are_often_wrong_and_the_verifier_tells_many_of_them",
    ),
    Row(
        method="A learned verifier of honest quality",
        function="headway.reference.arithmetic.verifier.fit_head",
        item="workloads",
        claim="neither an oracle nor noise",
        shows="it tells right answers from wrong ones better than the model's own probability",
        baseline="mean log-probability of the answer's tokens",
        unit="AUROC on whole answers",
        measure=measure_verifier,
        compare="difference",
        reached=lambda low, high: low > 0,
        reason="the model's own probability tells right from wrong about as well; what the head sees is made of it",
        test="tests/reference/test_solving_arithmetic.py::"
        "test_answers_look_right_and_are_often_wrong_and_the_verifier_tells_many_of_them",
    ),
    Held(
        item="workloads",
        promise="Questions that are measured on were seen by nobody: not by the model, its verifier or who chose a setting.",
        tests=(
            "tests/reference/test_arithmetic.py::test_no_question_serves_two_uses_and_the_same_ones_come_again",
            "tests/methods/search/test_bench_search.py::test_what_is_chosen_on_is_never_measured_on",
        ),
    ),
    Held(
        item="workloads",
        promise="A comparison on either workload is found again after a kill, and every attempt stays in its budget.",
        tests=(
            "tests/methods/search/test_bench_search.py::test_a_comparison_is_found_again_and_a_larger_one_adds_to_it",
            "tests/methods/search/test_bench_search.py::test_every_method_tries_every_question_and_stays_in_its_budget",
        ),
    ),
]
