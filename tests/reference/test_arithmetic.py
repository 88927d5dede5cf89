"""Questions of arithmetic, how they are worked out, and the model for them; untrained where a promise needs no skill."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")
pytest.importorskip("reasoning_gym")

import torch

from headway.errors import UsageError
from headway.models.base import BatchModel, Message, Request
from headway.reference import weights
from headway.reference.arithmetic import expression, tokens
from headway.reference.arithmetic.batches import batch
from headway.reference.arithmetic.judge import solves
from headway.reference.arithmetic.questions import EARLY, LONG, MEASURED, SPLITS, Mix, Question, draw, make_questions, split_of
from headway.reference.arithmetic.sampling import ArithmeticModel, ArithmeticNetwork
from headway.reference.arithmetic.verifier import Fit, fit_head
from headway.reference.batch import IGNORED
from headway.reference.countdown.sampling import CountdownModel
from headway.reference.measure import auroc
from headway.reference.network import Shape

SMALL = Shape(layers=2, features=32, heads=2, hidden=48, length=256)
QUESTION = "(34+5)*3-12\n"
SOLUTION = "34+5=39\n39*3=117\n117-12=105\n"


@pytest.fixture(scope="module")
def model() -> ArithmeticModel:
    torch.manual_seed(3)
    return ArithmeticModel(ArithmeticNetwork(SMALL, tokens.LANGUAGE), "small")


def solution_of(question: Question) -> str:
    return "".join(map(str, expression.solve(expression.parse(question.prompt.strip()))))


@pytest.mark.parametrize("mix", [Mix(), MEASURED, LONG, EARLY], ids=["trained", "measured", "long", "early"])
def test_the_steps_of_a_question_end_at_the_answer_that_reasoning_gym_has(mix: Mix) -> None:
    for question in make_questions("test", 5, 25, mix):
        solution = solution_of(question)
        assert expression.answer(question.prompt + solution) == question.answer
        assert solution.count("\n") == question.steps == expression.count_operations(question.prompt)
        assert expression.read_prompt(question.text) == question.prompt
        assert tokens.decode(tokens.encode(question.prompt + solution)) == question.prompt + solution


@st.composite
def expressions(draw: st.DrawFn) -> str:
    part = st.recursive(
        st.integers(-99, 99).map(str),
        lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner, st.booleans()).map(
            lambda of: f"({of[0]}{of[1]}{of[2]})" if of[3] else f"{of[0]}{of[1]}{of[2]}"
        ),
        max_leaves=8,
    )
    return draw(part)


@given(expressions())
def test_an_expression_has_the_value_that_python_gives_it(text: str) -> None:
    steps = expression.solve(expression.parse(text))
    value = steps[-1].result if steps else expression.parse(text)
    assert value == eval(text)


@pytest.mark.parametrize("text", ["", "7+", "(7", "7)", "7 8", "seven", "7+*8", "7/2", "()"])
def test_what_is_no_expression_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is no expression"):
        expression.parse(text)


def test_a_question_without_an_expression_is_named(model: ArithmeticModel) -> None:
    with pytest.raises(ValueError, match="no arithmetic question in 'What is love"):
        expression.read_prompt("What is love?")
    with pytest.raises(UsageError, match="no arithmetic question"):
        model.count((Message("user", "What is love?"),))


@pytest.mark.parametrize(
    ("said", "answer", "right"),
    [
        (SOLUTION, "105", True),
        ("34+5=39\n39*3=116\n116-12=104\n", "104", False),
        ("34+5=38\n38*3=114\n117-12=105\n", "105", True),
        (SOLUTION + "105+0=105\n", None, False),
        ("34+5=39\n39*3=117\n", None, False),
        (SOLUTION[:-1], None, False),
        ("34+5=39\n39 3=117\n117-12=105\n", None, False),
    ],
    ids=["right", "a slip", "two that cancel", "a line too many", "a line too few", "no line end", "no step"],
)
def test_an_answer_is_what_the_last_line_makes_and_may_be_wrong(said: str, answer: str | None, right: bool) -> None:
    assert expression.answer(QUESTION + said) == answer
    assert solves(QUESTION + said) == right


def test_lines_are_right_up_to_the_first_slip() -> None:
    texts = ["34+5=39\n39*3=116\n116-12=104\n", SOLUTION, "34+5=39\n", "5+34=39\n", ""]
    assert [expression.count_right(QUESTION + said) for said in texts] == [1, 3, 1, 0, 0]


def test_no_question_serves_two_uses_and_the_same_ones_come_again() -> None:
    of = {split: {question.prompt for question in make_questions(split, 1, 40)} for split in SPLITS}
    assert all(len(questions) == 40 for questions in of.values())
    assert len(set().union(*of.values())) == 40 * len(SPLITS)
    assert all(split_of(prompt.strip()) == split for split, questions in of.items() for prompt in questions)
    assert make_questions("test", 1, 40) is make_questions("test", 1, 40)
    drawn = [draw(random.Random(7), "train", Mix()).question for _ in range(2)]
    assert drawn[0] == drawn[1]


def test_questions_that_do_not_exist_are_refused() -> None:
    with pytest.raises(UsageError, match="there is no split 'exam'"):
        make_questions("exam", 0, 3)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="there are only about"):
        make_questions("test", 0, 500, Mix(mixed=0.0, sums=(2, 2), one_digit=1.0))


@pytest.mark.parametrize("mix", [LONG, EARLY], ids=["long", "early"])
def test_long_questions_have_solutions_of_more_than_a_hundred_tokens(mix: Mix) -> None:
    for question in make_questions("test", 5, 25, mix):
        assert 100 <= len(tokens.encode(solution_of(question))) < SMALL.length - len(tokens.encode(question.prompt))


def test_sums_with_an_opening_begin_with_large_numbers_and_go_on_with_small_ones() -> None:
    for question in make_questions("test", 5, 25, EARLY):
        numbers = [int(number) for number in re.findall(r"\d+", question.prompt)]
        assert 27 <= len(numbers) <= 30
        assert min(numbers[:3]) >= 10 > max(numbers[3:])


def test_a_batch_is_a_function_of_seed_and_index_and_teaches_solutions_alone() -> None:
    made, again, other = batch(1, 7, 12, Mix()), batch(1, 7, 12, Mix()), batch(1, 8, 12, Mix())
    assert (made.tokens == again.tokens).all()
    assert made.tokens.shape != other.tokens.shape or (made.tokens != other.tokens).any()
    for row, learn in zip(made.tokens.tolist(), made.learn.tolist(), strict=True):
        prompt = row.index(tokens.ASK) + 1
        text = tokens.decode(row)
        assert split_of(text.split("\n")[0]) == "train"
        assert expression.count_right(text) == expression.count_operations(text)
        taught = [token for token in learn if token != IGNORED]
        assert tokens.decode(taught) == text.split("\n", 1)[1]
        assert taught[-1] == tokens.END
        assert all(token == IGNORED for token in learn[: prompt - 1])


def test_a_piece_of_a_batch_is_as_long_as_its_longest_text() -> None:
    made = batch(1, 7, 12, Mix())
    short = made.rows(slice(0, 4))
    assert short.learn.shape[1] < made.learn.shape[1]
    assert (short.tokens == made.tokens[:4, : short.tokens.shape[1]]).all()
    assert (made.learn[:4, short.learn.shape[1] :] == IGNORED).all()


@given(st.lists(st.one_of(st.integers(0, 12), st.integers(tokens.PLUS, tokens.ASK)), max_size=12))
def test_whatever_the_model_says_can_be_read_again(said: list[int]) -> None:
    text = QUESTION + SOLUTION[:8] + tokens.decode(said)
    assert tokens.decode(tokens.encode(text)) == text


def test_it_is_a_batch_model_whose_words_can_always_be_read_again(model: ArithmeticModel) -> None:
    assert isinstance(model, BatchModel)
    reply = model.sample_batch([Request(prompt=QUESTION, seed=1, n=4, max_tokens=40)])[0]
    assert all(len(tokens.encode(each.text)) == each.tokens for each in reply.samples)
    with pytest.raises(ValueError, match="no token for '1000' in"):
        tokens.encode("1000+1\n")


def test_a_value_is_of_all_lines_and_does_not_depend_on_company(model: ArithmeticModel) -> None:
    texts = [QUESTION, QUESTION + "34+5=39\n", QUESTION + SOLUTION, "7-2\n7-2=4\n"]
    together = model.values(texts)
    assert together[0] == 1.0, "nothing is wrong yet"
    assert 1 > together[1] > together[2] > 0
    assert together == pytest.approx([model.values([text])[0] for text in texts], abs=1e-5)
    assert model.values([]) == []


def test_a_verifier_learns_to_tell_right_lines_from_wrong_ones_and_stays_in_the_file(tmp_path: Path) -> None:
    """The network is untrained. It finds it likeliest that a word is said again, so wrong lines here repeat their second number."""
    torch.manual_seed(5)
    model = ArithmeticModel(ArithmeticNetwork(SMALL, tokens.LANGUAGE), "small")
    questions = make_questions("verify", 3, 60, Mix(mixed=0.0, sums=(2, 2)))
    right = [question.prompt + solution_of(question) for question in questions]
    wrong = [re.sub(r"(\d+)=\d+", r"\1=\1", text) for text in right]
    fit_head(model, right[:40] + wrong[:40], Fit(epochs=40))
    values = model.values(right[40:] + wrong[40:])
    assert auroc(values, [True] * 20 + [False] * 20) > 0.9
    weights.write(tmp_path / "a.safetensors", model.network, {"recipe": "none"})
    assert ArithmeticModel.load(tmp_path / "a.safetensors").values(right) == pytest.approx(model.values(right), abs=0.02)


def test_weights_of_another_model_are_refused_by_name(tmp_path: Path, model: ArithmeticModel) -> None:
    weights.write(tmp_path / "a.safetensors", model.network, {})
    with pytest.raises(UsageError, match="holds no Countdown model: its words are those of 'arithmetic'"):
        CountdownModel.load(tmp_path / "a.safetensors")
