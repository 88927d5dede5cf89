"""Chooses the retry policy of a model: its own, else the one for all."""

from __future__ import annotations

import dataclasses

from headway.engine.outcomes.retry import Retry
from headway.errors import ModelUnavailable, UsageError
from headway.models.base import BatchModel, Model

PATIENT = Retry(attempts=6, delay_s=0.5, factor=2.0, max_delay_s=60.0, jitter=0.5, on=(ModelUnavailable,))
"""How often a request is made, unless the model has a `retry` of its own. A server that says when to come back is obeyed."""


def retry_of(model: Model | BatchModel) -> Retry:
    """How often a model is asked: what it says itself (`retry`), else `PATIENT`. What `on=` does not name or decide is left to
    `ModelUnavailable`. Raises UsageError for what is no policy."""
    own = getattr(model, "retry", None)
    if own is None:
        return PATIENT
    if not isinstance(own, Retry):
        raise UsageError(f"{model.name} has retry={own!r:.80}: write headway.Retry(attempts=3)")
    return dataclasses.replace(own, on=(ModelUnavailable,)) if own.on == (Exception,) else own
