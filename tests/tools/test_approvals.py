"""A call that needs approval waits for a person, for as long as it takes, and nothing but a clear yes lets it run."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from typer.testing import CliRunner

import headway as hw
from headway import models, tools
from headway.cli.app import app

SENT: list[tuple[str, str]] = []


@pytest.fixture(autouse=True)
def _empty() -> None:
    SENT.clear()


@tools.tool(effect=True, needs_approval=True)
async def send(to: str, text: str = "Hello") -> str:
    """Send a letter.

    Args:
        to: whom.
        text: what.
    """
    SENT.append((to, text))
    if to == "nobody":
        raise LookupError("there is no nobody")
    return f"sent to {to}"


@tools.tool
async def look(where: str) -> str:
    """Look somewhere."""
    return f"looked at {where}"


@hw.task
async def turn(asked: list[models.ToolCall], timeout_s: float | None = None) -> list[Any]:
    results = await tools.run_calls([send, look], asked, approval_timeout_s=timeout_s)
    return [(result.content, result.is_error) for result in results]


def ask(id: str, name: str = "send", **arguments: Any) -> models.ToolCall:
    return models.ToolCall(id, name, json.dumps(arguments))


class Waits:
    """A run that waits for a person: it is left waiting, answered, and goes on."""

    def __init__(self, go: Any, store: Any) -> None:
        self.go, self.store = go, store

    def leave(self, *asked: models.ToolCall) -> list[tools.Question]:
        """Start it and leave it when all that needs approval waits for it, and everything else has ended."""
        return asyncio.run(self._leave(list(asked)))

    async def _leave(self, asked: list[models.ToolCall]) -> list[tools.Question]:
        run = asyncio.create_task(hw.arun(turn, asked, run_id="run", store=self.store))
        found: list[tools.Question] = []
        while len(found) < sum(call.name == "send" for call in asked) and not run.done():
            found = await asyncio.to_thread(self.questions)
        run.cancel()  # as a closed laptop would
        await asyncio.gather(run, return_exceptions=True)
        return found

    def questions(self) -> list[tools.Question]:
        try:
            return tools.questions("run", store=self.store)
        except (hw.UnknownRun, hw.StoreError):  # it has not begun
            return []

    def answer(self, question: tools.Question, value: Any) -> None:
        hw.signal("run", question.signal, value, store=self.store)

    def go_on(self, *asked: models.ToolCall) -> Any:
        return self.go(turn, list(asked))


@pytest.fixture
def waits(go: Any, tmp_path: Any) -> Waits:
    return Waits(go, tmp_path / "store")


def test_nothing_is_sent_before_a_yes_and_once_after_it(waits):
    (question,) = waits.leave(ask("a", to="ada"))
    assert SENT == []
    assert (question.tool, question.arguments) == ("send", '{"to":"ada"}')
    waits.answer(question, "yes")
    assert waits.go_on(ask("a", to="ada")) == [("sent to ada", False)]
    assert waits.go_on(ask("a", to="ada")) == [("sent to ada", False)]
    assert SENT == [("ada", "Hello")]
    assert waits.questions() == []


def test_other_calls_of_the_turn_do_not_wait(waits):
    waits.leave(ask("a", to="ada"), ask("b", "look", where="Rome"))
    (call,) = hw.view("run", store=waits.store).find("look")
    assert call.value == "looked at Rome"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("no", "Not run: a person was asked and did not approve send."),
        (False, "Not run: a person was asked and did not approve send."),
        (None, "Not run: a person was asked and did not approve send."),
        ("not on a Sunday", "Not run: a person was asked and did not approve send: not on a Sunday"),
        ("yes, but later", "Not run: a person was asked and did not approve send: yes, but later"),
        ({"approve": False, "reason": "too dear"}, "Not run: a person was asked and did not approve send: too dear"),
        ({"approve": "yes"}, "Not run: a person was asked and did not approve send."),
        ({"aprove": True}, "Not run: a person was asked and did not approve send: the answer of the person asked could not be "
            "read: it has aprove"),
        ({"arguments": {"too": "eve"}}, "Not run: a person changed the arguments, and they don't fit. send: Object contains "
            "unknown field `too`; did you mean 'to'? It takes to (string), text (string, optional)"),
        (1, "Not run: a person was asked and did not approve send: 1"),
    ],
)  # fmt: skip
def test_what_is_no_clear_yes_is_a_denial_that_the_model_hears(waits, answer, said):
    (question,) = waits.leave(ask("a", to="ada"))
    waits.answer(question, answer)
    assert waits.go_on(ask("a", to="ada")) == [(said, True)]
    assert SENT == []


@pytest.mark.parametrize("answer", ["yes", "YES", True, {"approve": True}, "ok"])
def test_a_clear_yes(waits, answer):
    (question,) = waits.leave(ask("a", to="ada"))
    waits.answer(question, answer)
    assert waits.go_on(ask("a", to="ada")) == [("sent to ada", False)]


def test_a_person_may_change_the_arguments(waits):
    (question,) = waits.leave(ask("a", to="ada"))
    waits.answer(question, {"arguments": {"to": "eve", "text": "Bye"}})
    assert waits.go_on(ask("a", to="ada")) == [("sent to eve", False)]
    assert SENT == [("eve", "Bye")]


def test_an_answer_reaches_its_own_question_and_no_other(waits):
    asked = (ask("1", to="ada"), ask("2", to="eve"), ask("3", to="ada"))
    questions = waits.leave(*asked)
    assert len({question.signal for question in questions}) == 3
    for question in questions:
        waits.answer(question, "yes" if question.arguments == '{"to":"eve"}' else "no")
    assert [error for _, error in waits.go_on(*asked)] == [True, False, True]
    assert SENT == [("eve", "Hello")]


def test_a_tool_that_fails_after_approval_is_a_result_and_is_approved_once(waits):
    (question,) = waits.leave(ask("a", to="nobody"))
    waits.answer(question, "yes")
    said = [("send failed: LookupError: there is no nobody", True)]
    assert waits.go_on(ask("a", to="nobody")) == said == waits.go_on(ask("a", to="nobody"))
    assert len(SENT) == 1


def test_arguments_that_do_not_fit_are_not_asked_about(go):
    ((said, error),) = go(turn, [ask("a", too="ada")])
    assert error
    assert "unknown field" in said or "missing required field" in said


def test_nobody_answers_in_time(go, clock):
    assert go(turn, [ask("a", to="ada")], 3600) == [
        ("Not run: send needs the approval of a person, and nobody gave it in 3600 seconds.", True)
    ]
    assert clock.elapsed >= 3600
    assert SENT == []


def test_what_the_person_sees_is_what_would_be_run(waits):
    """Of two members of one name the last counts, and a model may hide it far to the right."""
    sly = models.ToolCall("a", "send", '{"to": "ada"' + " " * 5000 + ', "to": "eve", "text": "' + "x" * 500 + '"}')
    (question,) = waits.leave(sly)
    assert question.arguments == '{"text":"' + "x" * 500 + '","to":"eve"}'


def test_a_rule_may_ask_about_further_calls(go, tmp_path):
    asked: list[str] = []

    def is_far(tool: tools.Tool, call: models.ToolCall) -> bool:
        asked.append(tool.name)
        return "moon" in call.arguments

    @hw.task
    async def program() -> list[Any]:
        calls = [ask("a", "look", where="moon"), ask("b", "look", where="Rome")]
        results = await tools.run_calls([look], calls, ask_first=is_far, approval_timeout_s=60)
        return [result.is_error for result in results]

    assert go(program) == [True, False]
    assert asked == ["look", "look"]


def test_a_tool_that_needs_approval_is_refused_outside_of_a_run():
    with pytest.raises(hw.NotInRun):
        asyncio.run(tools.run_calls([send], [ask("a", to="ada")]))
    assert SENT == []


def test_the_command_line_shows_the_question_and_answers_it(waits):
    (question,) = waits.leave(ask("a", to="ada"))
    line = CliRunner()
    shown = line.invoke(app, ["show", "run", "--store", str(waits.store)], env={"COLUMNS": "200"})
    assert f"headway signal run {question.signal} VALUE" in shown.output
    assert 'question(send {"to":"ada"})' in shown.output
    assert question.signal[:20] in line.invoke(app, ["ls", "--store", str(waits.store)], env={"COLUMNS": "200"}).output
    sent = line.invoke(app, ["signal", "run", question.signal, "yes", "--store", str(waits.store)])
    assert sent.exit_code == 0
    assert waits.go_on(ask("a", to="ada")) == [("sent to ada", False)]
