"""A module that the function of a call imports."""

import contextvars

import headway as hw

mood: contextvars.ContextVar[str] = contextvars.ContextVar("mood", default="calm")
hw.carry(mood)
