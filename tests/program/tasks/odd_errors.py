"""Errors that misbehave, each raised by a function of its own, and how a program sees an error."""

from __future__ import annotations

import asyncio
import dataclasses
import email.message
import threading
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

RAISERS: dict[str, Callable[[], Any]] = {}
CLASSES: list[type[BaseException]] = []


def raiser(function: Callable[[], Any]) -> Callable[[], Any]:
    RAISERS[function.__name__] = function
    return function


def described(error: BaseException, depth: int = 0) -> Any:
    """What a program can see of an error: its class, its text, which clauses catch it, what is in it and what caused it."""
    caught = [kind.__name__ for kind in (*CLASSES, Exception, ValueError, OSError, RuntimeError) if isinstance(error, kind)]
    parts = [described(part, depth + 1) for part in getattr(error, "exceptions", ())] if depth < 3 else []
    cause = described(error.__cause__, depth + 2) if error.__cause__ is not None and depth < 2 else None
    return [type(error).__module__, type(error).__qualname__, str(error), sorted(caught), parts, cause]


class Keyword(ValueError):
    def __init__(self, *, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


class Slotted(Exception):
    __slots__ = ("where",)

    def __init__(self, where: str) -> None:
        self.where = where

    def __str__(self) -> str:
        return f"at {self.where}"


class Holding(Exception):
    def __init__(self, text: str) -> None:
        self.text, self.lock = text, threading.Lock()

    def __str__(self) -> str:
        return f"{self.text} ({type(self.lock).__name__})"


class Nosy(Exception):
    """As urllib's HTTPError: it looks for what it lacks where it can't be without its constructor."""

    def __init__(self, text: str) -> None:
        self.inner = threading.Lock()
        self.text = text

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["inner"], name)

    def __str__(self) -> str:
        return self.text

    def __del__(self) -> None:
        self.inner.locked()


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class Exiting(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class Wordless(Exception):
    def __str__(self) -> Any:
        return 5


class Lying(Exception):
    @property
    def __class__(self) -> Any:
        raise RuntimeError("guess")


class Closed(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("ask somebody else")


class Touchy(Exception):
    def __bool__(self) -> bool:
        raise RuntimeError

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    def __hash__(self) -> int:
        raise RuntimeError

    def __len__(self) -> int:
        raise RuntimeError


class Reduced(Exception):
    def __reduce__(self) -> Any:
        raise RuntimeError("can't be pickled")


class Registered(Exception):
    names: ClassVar[list[str]] = []

    def __init_subclass__(cls, *, name: str) -> None:
        Registered.names.append(name)

    def __str__(self) -> str:
        return f"held: {self.args[0]} {type(self.args[0]).__name__}"


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    code: int


class Failed(BaseException):
    """As the outcomes of pytest."""


CLASSES += [Keyword, Slotted, Holding, Nosy, Mute, Exiting, Wordless, Lying, Closed, Touchy, Reduced, Registered, Frozen, Failed]


@raiser
def plain() -> None:
    raise ValueError("no", 3)


@raiser
def required_keyword() -> None:
    raise Keyword(status=404)


@raiser
def slots() -> None:
    raise Slotted("home")


@raiser
def unpicklable_attribute() -> None:
    raise Holding("held")


@raiser
def unpicklable_argument() -> None:
    raise ValueError("held", threading.Lock())


@raiser
def broken_without_its_constructor() -> None:
    raise Nosy("nosy")


@raiser
def http_error() -> None:
    raise urllib.error.HTTPError("http://example.org/", 404, "not found", email.message.Message(), None)


@raiser
def invalid_model() -> None:
    import pydantic

    class Plan(pydantic.BaseModel):
        steps: int
        names: list[str]

        @pydantic.field_validator("steps")
        @classmethod
        def _few(cls, steps: int) -> int:
            if steps > 3:
                raise ValueError(f"{steps} are too many")
            return steps

    Plan.model_validate({"steps": 5, "names": ["a", object, {"b": threading.Lock}]})


@raiser
def str_that_raises() -> None:
    raise Mute


@raiser
def str_that_exits() -> None:
    raise Exiting


@raiser
def str_that_is_no_text() -> None:
    raise Wordless


@raiser
def class_that_raises() -> None:
    raise Lying("lying")


@raiser
def attributes_that_raise() -> None:
    raise Closed("closed")


@raiser
def operators_that_raise() -> None:
    raise Touchy("touchy")


@raiser
def broken_reduce() -> None:
    raise Reduced("reduced", 5)


@raiser
def a_class_that_refuses_heirs() -> None:
    raise Registered(threading.Lock())


@raiser
def group() -> None:
    raise ExceptionGroup("two", [Holding("in a group"), ExceptionGroup("inner", [Keyword(status=1), Nosy("nosy")])])


@raiser
def group_with_an_exit() -> None:
    raise BaseExceptionGroup("two", [SystemExit(3), ValueError("no")])


@raiser
def cause_and_notes() -> None:
    error = Keyword(status=500)
    error.add_note("a note")
    raise error from Holding("the cause")


@raiser
def causes_in_a_circle() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    raise one


@raiser
def frozen() -> None:
    raise Frozen(5)


@raiser
def local_class() -> None:
    class Local(Keyword):
        pass

    raise Local(status=7)


@raiser
def os_error() -> None:
    Path("/nowhere/to/be/found").read_text()


@raiser
def unicode_error() -> None:
    b"\xff".decode()


@raiser
def stop_iteration() -> None:
    raise StopIteration(5)


@raiser
def stop_async_iteration() -> None:
    raise StopAsyncIteration("end")


@raiser
def system_exit() -> None:
    raise SystemExit(3)


@raiser
def keyboard_interrupt() -> None:
    raise KeyboardInterrupt


@raiser
def generator_exit() -> None:
    raise GeneratorExit


@raiser
def base_exception() -> None:
    raise Failed("a test of the candidate")


@raiser
def stray_cancellation() -> None:
    raise asyncio.CancelledError("nobody asked")


@raiser
def gigantic() -> None:
    raise ValueError("x" * 3_000_000)


@raiser
def lone_surrogate() -> None:
    raise ValueError("\ud800")


def names() -> Iterator[str]:
    yield from RAISERS
