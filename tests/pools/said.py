"""Tasks that log and that look at context variables."""

from __future__ import annotations

import contextvars
import logging
import os

import headway as hw

log = logging.getLogger("said.program")
user: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")
secret: contextvars.ContextVar[str] = contextvars.ContextVar("secret", default="none")
odd: contextvars.ContextVar[object] = contextvars.ContextVar("odd")
hw.carry(user)

ECHO = logging.getLogger("said.echo")
ECHO.addHandler(logging.StreamHandler())  # as modules do that set their logging up when they are imported


@hw.task(pool="process")
def says(text: str, level: int = logging.INFO) -> int:
    log.log(level, "it says %s", text, extra={"shade": "green", "lock": object()})
    return os.getpid()


@hw.task(pool="process")
def fails_loudly() -> None:
    try:
        raise ValueError("on purpose")
    except ValueError:
        log.exception("it went wrong")


@hw.task(pool="process")
def says_nonsense() -> int:
    log.warning("%d sheep", "seven")

    class Odd:
        def __str__(self) -> str:
            raise RuntimeError("no words")

    log.warning("%s", Odd())
    log.warning("x" * 100_000)
    log.warning("\ud800 is half a letter", extra={"big": 2**80})
    return 1


@hw.task(pool="process")
def says_much(count: int) -> int:
    for number in range(count):
        log.info("line %d", number)
    return count


@hw.task(pool="process")
def echoes() -> None:
    ECHO.warning("said once")


@hw.task(pool="process")
def logs_to_a_file(path: str) -> None:
    handler = logging.FileHandler(path)
    log.addHandler(handler)
    log.warning("into the file as well")
    log.removeHandler(handler)
    handler.close()


@hw.task(pool="process")
def who() -> list[str]:
    return [user.get(), secret.get()]


@hw.task(pool="process")
def imports_late() -> str:
    import said_late

    return said_late.mood.get()


@hw.task(pool="thread")
def who_in_a_thread() -> list[str]:
    return [user.get(), secret.get()]
