"""The planner: its questions, plans, words and training, and how many plans of the shipped models are right."""

from __future__ import annotations

import itertools
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import headway as hw
from headway import events, models
from headway.errors import UsageError
from headway.models.base import Message, Request
from headway.reference import weights
from headway.reference.batch import IGNORED
from headway.reference.network import Shape
from headway.reference.planner import phrases, questions, tokens, wordings
from headway.reference.planner.batches import batch
from headway.reference.planner.measure import are_exact, write_plans
from headway.reference.planner.plans import Step, read_plan, write_plan
from headway.reference.planner.questions import LONGER, SPLITS, Mix, Question, draw, make_questions, split_of
from headway.reference.planner.sampling import PlannerModel
from headway.reference.planner.training import Recipe, train
from headway.reference.training import Trained, early_weights

TINY = Recipe(steps=8, batch=8, every=3, warmup=2, early=(4, 6), shape=Shape(layers=1, features=16, heads=2, hidden=24, length=160))
CAPITAL = '1. lookup("Italy", "capital")\n2. lookup($1, "population")\njoin()'
MIXES = pytest.mark.parametrize("mix", [Mix(), Mix(kept=True), LONGER], ids=["trained", "kept", "longer"])


@MIXES
def test_a_question_and_its_plan_are_read_as_they_are_written(mix: Mix) -> None:
    for question in make_questions("test", 5, 150, mix):
        prompt, whole = tokens.encode(question.prompt), tokens.encode(question.prompt + question.plan)
        assert whole[: len(prompt)] == prompt
        assert tokens.decode(whole[len(prompt) :]) == question.plan
        assert read_plan(question.plan) == question.steps
        assert tokens.encode(question.text) == prompt
        assert len(whole) < Recipe().shape.length
        named = [step.arguments[0] for step in question.steps if isinstance(step.arguments[0], str)]
        assert all(name in question.text or name.lower() in question.text.lower() for name in named)


def test_what_is_written_of_a_plan_never_changes_what_was_told_of_it() -> None:
    for question in make_questions("test", 6, 40):
        said = tokens.encode(question.prompt + question.plan)[len(tokens.encode(question.prompt)) :]
        told = [tokens.decode(said[:end]) for end in range(len(said) + 1)]
        assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(told))


def test_a_question_belongs_to_one_split_whatever_its_words() -> None:
    plans = {split: {question.plan for question in make_questions(split, 1, 400)} for split in SPLITS}
    assert all(not plans[one] & plans[other] for one, other in itertools.combinations(SPLITS, 2))
    for split in SPLITS:
        for question in make_questions(split, 2, 20, Mix(kept=True)):
            assert split_of(question.steps) == split
    with pytest.raises(UsageError, match="there is no split 'verify' of the questions: there are train, choose, test"):
        make_questions("verify", 1, 1)  # type: ignore[arg-type]


def test_more_questions_than_there_are_is_an_error_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "_PATIENCE", 1)  # there are tens of thousands, of which the first comes again soon
    with pytest.raises(UsageError, match=r"there are only about \d+ questions of Mix\(.*\) in the split 'test', and not 100000"):
        make_questions("test", 1, 10**5, Mix(families=(("single", 1.0),)))


def test_training_sees_no_wording_that_is_kept() -> None:
    tables = [table for table in vars(wordings).values() if isinstance(table, phrases.Wordings)]
    tables += [each for table in (phrases.THINGS, phrases.BARE, wordings.SUMS) for each in table.values()]
    tables += [each for field in phrases.FIELDS.values() for each in vars(field).values()]
    assert len(tables) > 60
    assert all(table.kept and not set(table.seen) & set(table.kept) for table in tables)
    kept = {"Get me ", "Do you know ", "sum total", "in the mean", "which is the one that"}
    seen = [draw(random.Random(seed), "train", Mix()).text for seed in range(1500)]
    assert not [text for text in seen for each in kept if each in text]


def test_training_sees_no_list_that_is_longer_than_said() -> None:
    trained = [draw(random.Random(seed), "train", Mix()) for seed in range(800)]
    longer = [draw(random.Random(seed), "test", LONGER) for seed in range(100)]

    def names(question: Question) -> int:
        return sum(isinstance(step.arguments[0], str) for step in question.steps)

    assert max(map(names, trained)) == 7  # a list of six, and what it is compared with
    assert min(map(names, longer)) == 7
    assert {len(question.steps) for question in longer} <= set(range(7, tokens.LINES + 1))


def test_a_batch_is_the_same_whenever_it_is_made_and_teaches_plans_alone() -> None:
    first, again, other = batch(1, 7, 16, Mix()), batch(1, 7, 16, Mix()), batch(1, 8, 16, Mix())
    assert (first.tokens == again.tokens).all()
    assert first.tokens.shape != other.tokens.shape or (first.tokens != other.tokens).any()
    for row, learned in zip(first.tokens.tolist(), first.learn.tolist(), strict=True):
        taught = [token for token in learned if token != IGNORED]
        assert taught[-1] == tokens.END
        plan = row[row.index(tokens.ASK) + 1 : row.index(tokens.END) + 1]
        assert taught == plan
        assert split_of(read_plan(tokens.decode(taught))) == "train"


def test_a_word_that_no_wording_has_is_read_as_unknown_and_a_name_is_refused() -> None:
    known = tokens.encode("What is the area of the Netherlands?")
    assert tokens.encode("what is the AREA of The Netherlands")[:4] == known[:4]
    assert tokens.encode("Whatever is the area of The Netherlands, ole?").count(tokens.UNKNOWN) == 2
    with pytest.raises(ValueError, match="the planner knows no 'Atlantis' in 'What is the area of Atlantis"):
        tokens.encode("What is the area of Atlantis?")
    with pytest.raises(ValueError, match="no token for '\"Rome\"' at 10 of the plan"):
        tokens.encode('What is this?\n1. lookup("Rome", "area")\n')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('1. lookup("Italy", "area")\n', "a plan is lines like"),
        ("join()", "a plan is lines like"),
        ('1. lookup("Italy", "ar', "a plan is lines like"),
        ('1. lookup("Italy", "area")\n3. lookup("Italy", "area")\njoin()', "line 2 of a plan is no call"),
        ('1. drop("Italy")\njoin()', "line 1 of a plan is no call"),
        ('1. lookup($1, "area")\njoin()', r"uses \$1, which is no earlier step"),
        ('1. lookup($2, "area")\n2. lookup("Italy", "area")\njoin()', r"uses \$2, which is no earlier step"),
        ('1. lookup("Italy" "area")\njoin()', "line 1 of a plan is no call"),
    ],
)
def test_what_is_no_plan_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_plan(text)


def trained(store: Path, watch: Callable[[events.Event], None] | None = None) -> Trained:
    found: Trained = hw.run(train.options(processes=1), TINY, store=store, run_id="run", events=watch, progress=False)
    return found


def test_a_training_that_was_killed_ends_with_the_curve_and_weights_of_an_undisturbed_one(tmp_path: Path) -> None:
    pids: list[int] = []
    killed = []

    def kill_once(event: events.Event) -> None:
        if isinstance(event, events.WorkerStarted):
            pids.append(event.pid)
        elif isinstance(event, events.CallProgress) and event.done == 5 and not killed:
            killed.append(event.done)
            os.kill(pids[-1], signal.SIGKILL)

    found, undisturbed = trained(tmp_path / "killed", kill_once), trained(tmp_path / "undisturbed")
    assert killed == [5]
    assert len(pids) == 2
    assert found.language == undisturbed.language
    assert found.language[-1] < found.language[0]
    for one, other in zip(files_of(found), files_of(undisturbed), strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert len({file.read_bytes() for file in files_of(found)}) == 3


def files_of(found: Trained) -> list[Path]:
    last = Path(found.weights)
    return [*(early_weights(last, step) for step in TINY.early), last]


@pytest.fixture(scope="module")
def planner() -> PlannerModel:
    model = models.open("planner")
    assert isinstance(model, PlannerModel)
    return model


@pytest.fixture(scope="module")
def noisy() -> PlannerModel:
    model = models.open("planner-noisy")
    assert isinstance(model, PlannerModel)
    return model


def test_the_planner_is_exact_on_short_questions_that_training_never_saw(planner: PlannerModel) -> None:
    short = [question for question in make_questions("test", 3, 250) if question.is_short][:100]
    plans = write_plans(planner, short)
    assert len(short) == 100
    assert sum(are_exact(plans, short)) >= 90
    assert all(len(read_plan(plan)) <= 5 for plan in plans)


def test_the_noisy_planner_is_right_more_often_than_not_and_errs(noisy: PlannerModel) -> None:
    questions = make_questions("test", 3, 100)
    assert 40 <= sum(are_exact(write_plans(noisy, questions), questions)) <= 85


def test_samples_of_the_noisy_planner_differ_and_the_right_one_is_often_among_them(noisy: PlannerModel) -> None:
    questions = [question for question in make_questions("test", 4, 30) if not question.is_short][:8]
    replies = noisy.sample_batch(
        [Request(prompt=question.prompt, n=8, seed=1, max_tokens=120, temperature=0.7) for question in questions]
    )
    texts = [[sample.text for sample in reply.samples] for reply in replies]
    assert sum(len(set(of)) > 1 for of in texts) >= 4
    assert any(question.plan in of for question, of in zip(questions, texts, strict=True))


def test_a_plan_is_told_line_by_line_while_it_is_written(planner: PlannerModel) -> None:
    asked = "What is the population of the capital of Italy?"

    @hw.task
    async def listen() -> list[str]:
        return [piece.text async for piece in models.stream(planner, asked, temperature=0, max_tokens=60)]

    pieces = hw.run(listen, store=":memory:", progress=False)
    assert "".join(pieces) == CAPITAL
    assert len(pieces) > 10
    assert max(piece.count("\n") for piece in pieces) == 1


def test_a_question_in_a_conversation_is_found_in_its_last_line(planner: PlannerModel) -> None:
    said = "You plan calls of tools.\n\nQuestion: What is the population of the capital of Italy?\n"
    reply = planner.sample_batch([Request(prompt=(Message("user", said),), temperature=0, max_tokens=60)])[0]
    assert reply.text == CAPITAL
    with pytest.raises(UsageError, match="the planner was asked nothing"):
        planner.sample_batch([Request(prompt=(Message("user", " \n"),))])


def test_a_plan_that_was_begun_is_gone_on_with(planner: PlannerModel) -> None:
    begun = 'What is the population of the capital of Italy?\n1. lookup("Italy", "capital")\n'
    reply = planner.sample_batch([Request(prompt=begun, temperature=0, max_tokens=60)])[0]
    assert begun.split("\n")[1] + "\n" + reply.text == CAPITAL


def test_the_shipped_files_say_how_they_were_made(planner: PlannerModel, noisy: PlannerModel) -> None:
    last, early = weights.about(PlannerModel.file), weights.about(PlannerModel.noisy)
    assert '"steps":' in last["recipe"]
    assert last["recipe"] == early["recipe"]
    assert early["early"].startswith("planner-")
    assert planner.name != noisy.name
    assert sum(file.stat().st_size for file in (PlannerModel.file, PlannerModel.noisy)) < 6_000_000


@MIXES
def test_every_gold_plan_has_an_answer_in_the_atlas(mix: Mix) -> None:
    pytest.importorskip("pyworldatlas", reason="without the extra `assistant`")
    from headway.reference.planner import facts

    for question in make_questions("test", 8, 150, mix):
        try:
            found = facts.run_plan(question.steps, facts.lookup)
        except ZeroDivisionError:  # a ratio to a coastline of nothing
            assert question.steps[-1].tool == "ratio"
            continue
        assert len(found) == (len(question.steps) if question.family == "each" else 1)
    assert str(write_plan(question.steps)) == question.plan


def test_the_plan_of_the_planner_leads_to_the_answer(planner: PlannerModel) -> None:
    pytest.importorskip("pyworldatlas", reason="without the extra `assistant`")
    from headway.reference.planner import facts

    asked = {
        "What is the population of the capital of Italy?": facts.Fact("Rome", "population", 2318895.0),
        "Which of Italy, France and Malta has the largest area?": facts.Fact("France", "area", 643801.0),
        "Does Japan have more people than Iceland?": True,
        "How many of Italy, Malta and Chad have more neighbours than Portugal?": 2.0,
    }
    replies = planner.sample_batch([Request(prompt=f"{each}\n", temperature=0, max_tokens=80) for each in asked])
    found = [facts.run_plan(read_plan(reply.text), facts.lookup) for reply in replies]
    assert found == [[answer] for answer in asked.values()]


@pytest.mark.parametrize(
    ("steps", "error", "said"),
    [
        ((Step("lookup", ("Italy", "mood")),), LookupError, "the atlas has no 'mood' of 'Italy'"),
        ((Step("largest", ("Italy", "France")),), UsageError, r'largest\("Italy", "France"\) can\'t be done'),
        ((Step("lookup", ("Italy", "capital")), Step("add", (1, 1))), UsageError, "'Rome' is no number"),
        ((Step("lookup", ("Italy", "area")), Step("compare", (1, 1)), Step("lookup", (2, "area"))), UsageError, "takes an entity"),
        ((Step("lookup", ("Chad", "coastline")), Step("ratio", (1, 1))), ZeroDivisionError, "division by zero"),
    ],
)
def test_a_step_that_cannot_be_done_says_why(steps: tuple[Step, ...], error: type[Exception], said: str) -> None:
    pytest.importorskip("pyworldatlas", reason="without the extra `assistant`")
    from headway.reference.planner import facts

    with pytest.raises(error, match=said):
        facts.run_plan(steps, facts.lookup)


def test_things_that_share_a_name_are_told_apart() -> None:
    pytest.importorskip("pyworldatlas", reason="without the extra `assistant`")
    from headway.reference.planner import facts

    city: Any = facts.lookup("Singapore", "capital").value
    assert city == "Singapore (Singapore)"
    assert facts.lookup(city, "population") != facts.lookup("Singapore", "population")
    assert facts.lookup("Singapore", "largest city").value == city
