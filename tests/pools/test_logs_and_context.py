"""What code in worker processes logs reaches the program's logging, and declared context variables reach the code."""

from __future__ import annotations

import contextvars
import io
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import said
import said_late

import headway as hw
from headway.pools import logs


@pytest.fixture
def heard() -> Iterator[list[logging.LogRecord]]:
    """What the program's logging hears of `said.program`, which listens from INFO on."""
    records: list[logging.LogRecord] = []

    class Keeps(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    logger, handler = logging.getLogger("said.program"), Keeps()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield records
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def once(call: Callable[[], Any]) -> Any:
    @hw.task
    async def program() -> Any:
        return await call()

    return hw.run(program, store=None, progress=False, pools={"process": 1})


def test_a_record_comes_with_its_fields_and_those_of_its_call(heard: list[logging.LogRecord]) -> None:
    pid = once(lambda: said.says("hello"))
    (record,) = heard
    assert (record.name, record.levelname, record.getMessage()) == ("said.program", "INFO", "it says hello")
    assert (record.funcName, record.filename, record.process) == ("says", "said.py", pid)
    assert record.process != os.getpid()
    assert record.shade == "green"  # type: ignore[attr-defined]
    assert not hasattr(record, "lock")
    assert record.headway_task == "said.says"  # type: ignore[attr-defined]
    assert len(record.headway_key) == 32  # type: ignore[attr-defined]
    assert logging.Formatter("%(asctime)s %(module)s:%(lineno)d %(message)s").format(record).endswith("it says hello")


def test_levels_are_those_of_the_program(heard: list[logging.LogRecord]) -> None:
    async def both() -> None:
        await said.says("quiet", logging.DEBUG)
        logging.getLogger("said.program").setLevel(logging.DEBUG)
        await said.says("now heard", logging.DEBUG)
        logging.disable(logging.WARNING)
        await said.says("disabled", logging.WARNING)
        logging.disable(logging.NOTSET)
        logging.getLogger("said.program").setLevel(logging.NOTSET)
        logging.getLogger("said").setLevel(logging.ERROR)
        await said.says("the parent's level", logging.WARNING)
        await said.says("the parent's level as well", logging.ERROR)

    try:
        once(both)
    finally:
        logging.disable(logging.NOTSET)
        logging.getLogger("said").setLevel(logging.NOTSET)
    assert [record.getMessage() for record in heard] == ["it says now heard", "it says the parent's level as well"]


def test_what_nobody_hears_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(logs, "tell", lambda entry, key, task: told.append(entry.text))
    logging.getLogger("said.program").setLevel(logging.ERROR)
    try:
        once(lambda: said.says("hello", logging.WARNING))
        once(lambda: said.says("hello", logging.ERROR))
    finally:
        logging.getLogger("said.program").setLevel(logging.NOTSET)
    assert told == ["it says hello"]


def test_an_exception_comes_with_its_traceback(heard: list[logging.LogRecord]) -> None:
    once(said.fails_loudly)
    text = logging.Formatter().format(heard[0])
    assert text.startswith("it went wrong\nTraceback")
    assert text.endswith("ValueError: on purpose")


def test_what_can_not_be_put_into_words_breaks_no_call(heard: list[logging.LogRecord]) -> None:
    assert once(said.says_nonsense) == 1
    first, second, third, fourth = (record.getMessage() for record in heard)
    assert first.startswith("%d sheep (its arguments can't be put in: TypeError")
    assert "RuntimeError: no words" in second
    assert third.endswith("… (83,616 more characters)")
    assert len(third) < 17_000
    assert fourth == r"\ud800 is half a letter"
    assert heard[3].big == str(2**80)  # type: ignore[attr-defined]


def test_one_attempt_tells_a_bounded_number_of_records(heard: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch) -> None:
    with_warning: list[str] = []
    tell = logs.tell
    monkeypatch.setattr(logs, "tell", lambda entry, key, task: (with_warning.append(entry.text), tell(entry, key, task)))
    assert once(lambda: said.says_much(logs.MOST_RECORDS + 5)) == logs.MOST_RECORDS + 5
    assert len(heard) == logs.MOST_RECORDS
    assert with_warning[-1].startswith("said.says_much logged 5 more records, which were left out")


def test_a_handler_that_both_processes_have_writes_once(capfd: pytest.CaptureFixture[str]) -> None:
    (handler,) = said.ECHO.handlers
    assert isinstance(handler, logging.StreamHandler)
    before = handler.setStream(stream := io.StringIO())
    once(said.echoes)
    handler.setStream(before)
    assert stream.getvalue() == "said once\n"
    assert "said once" not in capfd.readouterr().err  # where the worker's own handler would write


def test_a_handler_of_the_code_s_own_is_asked_as_well(heard: list[logging.LogRecord], tmp_path: Path) -> None:
    once(lambda: said.logs_to_a_file(str(tmp_path / "log")))
    assert (tmp_path / "log").read_text() == "into the file as well\n"
    assert len(heard) == 1


def test_a_filter_that_fails_breaks_no_call(heard: list[logging.LogRecord], capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(record: logging.LogRecord) -> bool:
        raise ZeroDivisionError("a bad filter")

    logger = logging.getLogger("said.program")
    logger.addFilter(refuse)
    try:
        once(lambda: said.says("hello"))
    finally:
        logger.removeFilter(refuse)
    assert "a bad filter" in capsys.readouterr().err


# --- context variables ----------------------------------------------------------------------------------------------------------


def test_a_declared_variable_has_the_caller_s_value_in_a_process() -> None:
    async def calls() -> list[list[str]]:
        said.secret.set("not declared")
        first = await said.who()
        said.user.set("ada")
        second = await said.who.options(key="second")()
        return [first, second, await said.who_in_a_thread()]

    assert once(calls) == [["nobody", "none"], ["ada", "none"], ["ada", "not declared"]]


def test_a_variable_of_a_module_that_the_function_imports_has_it_as_well() -> None:
    async def calls() -> list[str]:
        said_late.mood.set("cheerful")
        return [await said.imports_late()]

    assert once(calls) == ["cheerful"]


def test_a_variable_is_no_part_of_what_a_call_asks(go: Callable[..., Any]) -> None:
    @hw.task(key="program")
    async def program(name: str) -> list[str]:
        said.user.set(name)
        found = await said.who()
        if name == "ada":
            raise ValueError("not yet")
        return found

    with pytest.raises(ValueError, match="not yet"):
        go(program, "ada")
    assert go(program, "grace") == ["ada", "none"]  # found again, as every finished call


def test_a_value_without_an_encoding_fails_the_call_and_is_named() -> None:
    hw.carry(said.odd)

    async def calls() -> None:
        said.odd.set(object())
        await said.who()

    try:
        with pytest.raises(hw.NotEncodable, match=r"the context variables of said.who\['test_logs_and_context.odd'\]"):
            once(calls)
    finally:
        from headway.pools import carrying

        del carrying._declared["test_logs_and_context.odd"]


def test_what_is_no_variable_is_refused() -> None:
    with pytest.raises(hw.UsageError, match=r"hw.carry\('user'\): expected a contextvars.ContextVar"):
        hw.carry("user")  # type: ignore[arg-type]


def test_a_context_of_one_call_is_gone_in_the_next() -> None:
    async def calls() -> list[str]:
        context = contextvars.copy_context()
        context.run(said.user.set, "ada")
        first = context.run(said.who)
        return [(await first)[0], (await said.who.options(key="second")())[0]]

    assert once(calls) == ["ada", "nobody"]
