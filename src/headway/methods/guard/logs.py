"""Keeps secrets out of what this process logs, whoever logs it.

Every record passes `logging.Logger.handle` on its way to filters and handlers, also those of libraries, of threads that know of no
call, and of worker processes, whose records arrive here. So that is where they are cleaned, as long as the vault lives. What is
printed, and what a warning says, is no log.
"""

from __future__ import annotations

import logging
import weakref
from typing import Any

from headway.methods.guard.cleaning import clean_value
from headway.methods.guard.forms import Cleaner

_cleaners: weakref.WeakSet[Cleaner] = weakref.WeakSet()
_plain = logging.Logger.handle
_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_formatter = logging.Formatter()


def clean_logs(cleaner: Cleaner) -> None:
    """Clean all that is logged in this process, from now on, for as long as the cleaner lives."""
    _cleaners.add(cleaner)
    if logging.Logger.handle is _plain:
        logging.Logger.handle = _handle  # type: ignore[method-assign]  # that is the point


def _handle(self: logging.Logger, record: logging.LogRecord) -> None:
    for cleaner in tuple(_cleaners):
        clean_record(cleaner, record)
    _plain(self, record)


def clean_record(cleaner: Cleaner, record: logging.LogRecord) -> None:
    """Take the secrets out of a record. One without any stays as it is."""
    try:
        text = record.getMessage()
    except Exception:  # its arguments don't fit, which its handler says, showing them
        text, said = "", f"{record.msg} {record.args}"
        if cleaner.text(said) != said:
            text = said
    if (cleaned := cleaner.text(text)) != text:
        record.msg, record.args = cleaned, None
    elif record.args:
        record.args = clean_value(cleaner, record.args)
    if record.exc_info:
        trace = record.exc_text or _formatter.formatException(record.exc_info)
        if (cleaned := cleaner.text(trace)) != trace:
            record.exc_info, record.exc_text = None, cleaned
    elif record.exc_text:
        record.exc_text = cleaner.text(record.exc_text)
    if record.stack_info:
        record.stack_info = cleaner.text(record.stack_info)
    extra: dict[str, Any] = vars(record)
    for name in extra.keys() - _USUAL:
        extra[name] = clean_value(cleaner, extra[name])
