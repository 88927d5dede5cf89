"""What the tests ask their models, and how a model refuses or breaks off."""

from __future__ import annotations

from contextlib import aclosing

from standins import StandInModel

import headway as hw

QUESTION = "why is the sky blue"  # five words, five tokens


def unavailable(text: str = "busy", *, after_s: float = 0.0, may_have_cost: bool = False) -> hw.ModelUnavailable:
    error = hw.ModelUnavailable(text)
    error.retry_after_s, error.may_have_cost = after_s, may_have_cost
    return error


class Breaks(StandInModel):
    """Breaks off after the first piece, in the middle of work that the server may go on with."""

    async def stream(self, request):
        async with aclosing(super().stream(request)) as pieces:
            async for piece in pieces:
                yield piece
                raise unavailable("broken off", may_have_cost=True)
