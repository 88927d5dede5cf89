"""Passes log records of code in a worker process to the program's logging.

While a call's code runs in a worker, a record goes to the logger of its name in the program, as if it had been logged there: that
logger's level, filters and handlers decide what becomes of it. It has the fields `headway_key` and `headway_task`. The worker knows
the levels that the program has set, so that a record nobody wants costs nothing. Handlers that the worker has because it imported
the same modules are left out, or each record would be written twice; one that the call's code adds itself is asked.

Logging must never break a call: what can't be put into words is replaced by words that say so, and the length of a text and
the number of records of one attempt are bounded.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
import traceback
import weakref
from collections.abc import Callable, Iterator

import msgspec

MOST_TEXT = 16 * 1024
MOST_RECORDS = 10_000  # of one attempt
MOST_FIELDS = 32
_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
Plain = str | int | float | bool | None


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A log record as it travels: texts are made where it was logged."""

    name: str
    level: int
    text: str
    path: str
    line: int
    function: str
    created: float
    thread: str
    process: int
    trace: str = ""
    stack: str = ""
    extra: dict[str, Plain] = {}


# --- in the program ----------------------------------------------------------------------------------------------------------


def levels_here() -> dict[str, int]:
    """The levels that are set here, by logger; "" is the root, and "!" what `logging.disable` says."""
    manager = logging.root.manager
    levels = {"": logging.root.level, "!": manager.disable}
    for name, logger in list(manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and logger.level:
            levels[name] = logger.level
    return levels


def tell(entry: Entry, key: str, task: str) -> None:
    """Log what code of a call has logged in a worker."""
    logger = logging.getLogger(entry.name)
    if not logger.isEnabledFor(entry.level):
        return
    record = logging.makeLogRecord(
        {
            **entry.extra,
            "name": entry.name,
            "levelno": entry.level,
            "levelname": logging.getLevelName(entry.level),
            "msg": entry.text,
            "pathname": entry.path,
            "filename": os.path.basename(entry.path),  # noqa: PTH119 - as logging has it
            "module": os.path.splitext(os.path.basename(entry.path))[0],  # noqa: PTH119, PTH122 - as logging has it
            "lineno": entry.line,
            "funcName": entry.function,
            "created": entry.created,
            "msecs": entry.created % 1 * 1000,
            "threadName": entry.thread,
            "process": entry.process,
            "processName": f"headway worker {entry.process}",
            "exc_text": entry.trace or None,
            "stack_info": entry.stack or None,
            "headway_key": key,
            "headway_task": task,
        }
    )
    try:
        logger.handle(record)
    except Exception:  # a filter of the program's own: what logging does about a handler that fails
        if logging.raiseExceptions:
            traceback.print_exc()


# --- in a worker -------------------------------------------------------------------------------------------------------------


def entry_of(record: logging.LogRecord) -> Entry:
    """The record as it travels. Never raises."""
    try:
        text = record.getMessage()
    except Exception as error:
        text = f"{_format_value(record.msg)} (its arguments can't be put in: {type(error).__name__}: {_format_value(error)})"
    trace = record.exc_text or ""
    if record.exc_info and not trace:
        try:
            trace = "".join(traceback.format_exception(*record.exc_info)).rstrip()
        except Exception:  # its __str__ fails
            trace = "(the exception can't be printed)"
    extra = {
        str(name): value
        for name, value in list(vars(record).items())
        if name not in _USUAL and isinstance(value, str | int | float | bool | None)
    }
    return Entry(
        name=record.name,
        level=int(record.levelno),
        text=_cut(text),
        path=record.pathname,
        line=int(record.lineno),
        function=record.funcName or "",
        created=record.created,
        thread=record.threadName or "",
        process=os.getpid(),
        trace=_cut(trace),
        stack=_cut(record.stack_info or ""),
        extra=dict([(name, _bound_value(value)) for name, value in extra.items()][:MOST_FIELDS]),
    )


def too_many(task: str, left_out: int) -> Entry:
    """The notice that stands for the records beyond the limit of one attempt."""
    text = f"{task} logged {left_out:,} more records, which were left out: one attempt tells at most {MOST_RECORDS:,}"
    return Entry("headway", logging.WARNING, text, __file__, 0, "", 0.0, "", os.getpid())


class Counted:
    """Hands on the records of one attempt until there are too many."""

    def __init__(self, task: str, send: Callable[[Entry], None]) -> None:
        self._task, self._send = task, send
        self._count = 0

    def __call__(self, entry: Entry) -> None:
        self._count += 1
        if self._count <= MOST_RECORDS:
            self._send(entry)

    def end(self) -> None:
        """Log how many records were left out, if any."""
        if self._count > MOST_RECORDS:
            left_out = msgspec.structs.replace(too_many(self._task, self._count - MOST_RECORDS), created=time.time())
            self._send(left_out)


class Forwarding:
    """Takes the records that are logged in this process while a call's code runs. One for a process that works for calls."""

    def __init__(self) -> None:
        self._set: dict[str, int] = {}
        self._had: weakref.WeakSet[logging.Handler] = weakref.WeakSet()  # handlers that importing the program has made
        self._tell: Callable[[Entry], None] | None = None

    def note_handlers(self) -> None:
        """What handlers there are now belongs to the program's modules, which are imported there as well."""
        loggers = [logging.root, *logging.root.manager.loggerDict.values()]
        self._had.update(handler for logger in loggers if isinstance(logger, logging.Logger) for handler in logger.handlers)

    @contextlib.contextmanager
    def telling(self, levels: dict[str, int], tell: Callable[[Entry], None]) -> Iterator[None]:
        """While a call's code runs, pass on what it logs. `levels` are those of the program."""
        self._obey(levels)
        plain = logging.Logger.callHandlers
        forwarding = self

        def call_handlers(self: logging.Logger, record: logging.LogRecord) -> None:
            forwarding._take(self, record)

        self._tell = tell
        logging.Logger.callHandlers = call_handlers  # type: ignore[method-assign]  # that is the point
        try:
            yield
        finally:
            logging.Logger.callHandlers = plain  # type: ignore[method-assign]  # that is the point
            self._tell = None

    def _obey(self, levels: dict[str, int]) -> None:
        """Give the loggers here the levels that they have in the program."""
        if levels == self._set:
            return
        for name in self._set.keys() - levels.keys():
            logging.getLogger(name).setLevel(logging.NOTSET)
        for name, level in levels.items():
            if name == "!":
                logging.disable(level)
            else:
                (logging.getLogger(name) if name else logging.root).setLevel(level)
        self._set = levels

    def _take(self, logger: logging.Logger, record: logging.LogRecord) -> None:
        tell = self._tell
        if tell is not None:
            tell(entry_of(record))
        at: logging.Logger | None = logger
        while at is not None:
            for handler in list(at.handlers):
                if handler not in self._had and record.levelno >= handler.level:
                    handler.handle(record)
            at = at.parent if at.propagate else None


def _bound_value(value: Plain) -> Plain:
    if isinstance(value, str):
        return _cut(str(value))
    return value if not isinstance(value, int) or abs(value) < 2**63 else _cut(str(value))


def _cut(text: str) -> str:
    """Shorten a text that is too long, and escape what UTF-8 can't encode."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}… ({len(text) - MOST_TEXT:,} more characters)"


def _format_value(value: object) -> str:
    try:
        return str(value)
    except Exception:  # its __str__ fails
        return f"a {type(value).__name__} that can't be printed"
