"""Shows the progress of a run on stderr: a live display on a terminal, a plain line now and then elsewhere.

Events only update a `Tally`; drawing happens on rich's own refresh thread a few times a second, so the run never waits for the
screen. Without a terminal there is no thread at all: a line is printed when an event comes and the last line is old enough.

It must write to stderr only, because stdout belongs to the program. When the run ends, a summary of a line or two replaces the
display. Whoever makes a `Progress` must `close` it, or the terminal may stay without a cursor.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from headway.events import Event, RunEnded, RunStarted, Warned
from headway.observe.tally import Phase, Tally

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

REFRESH_PER_S = 5
LINE_EVERY_S = 5.0
RATE_OVER_S = 10.0
WARNINGS_SHOWN = 5


class Progress:
    """An event sink that draws. `clock` gives wall-clock seconds, as the events' times are.

    >>> from rich.console import Console
    >>> from headway.events import RunStarted, RunEnded, CallSpawned, CallEnded
    >>> with Progress(Console(file=sys.stdout, width=100), clock=lambda: 3.0) as progress:
    ...     progress(RunStarted(at=1.0, run_id="sky", task="answer", store=".headway", recorded=0, resumed=False))
    ...     progress(CallSpawned(at=1.0, key="a1", parent="", task="answer", label="'why'"))
    ...     progress(CallEnded(at=3.0, key="a1", parent="", task="answer", status="ok", started=1.0, attempts=1, cost={}))
    ...     progress(RunEnded(at=3.0, run_id="sky", status="done", calls=1, reused=0))
    ✓ sky done in 2.00 s: 1 done
    """

    def __init__(self, console: Console | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self.tally = Tally()
        self._console = console
        self._clock = clock
        self._live: Live | None = None
        self._next_line = float("inf")
        self._samples: deque[tuple[float, int]] = deque()
        self._said: set[str] = set()

    def __call__(self, event: Event) -> None:
        self.tally(event)
        if event.at >= self._next_line:
            self._print_line(event.at)
        handler = _SPECIAL.get(type(event))
        if handler is not None:
            handler(self, event)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Take the live display off the screen. May be called twice."""
        self._next_line = float("inf")
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def view(self) -> RenderableType:
        """The live display, now."""
        from headway.observe import display

        now = self._clock()
        return display.view(self.tally, now, self._rate(now))

    def _screen(self) -> Console:
        if self._console is None:
            from rich.console import Console

            self._console = Console(stderr=True)
        return self._console

    def _on_run_started(self, event: Event) -> None:
        console = self._screen()
        if not console.is_terminal or console.is_dumb_terminal:
            self._next_line = event.at + LINE_EVERY_S
            return
        from rich.live import Live

        self.close()
        self._live = Live(
            get_renderable=self.view,
            console=console,
            refresh_per_second=REFRESH_PER_S,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
        )
        self._live.start()

    def _on_run_ended(self, event: Event) -> None:
        from headway.observe import display

        self.close()
        self._screen().print(display.summary(self.tally, self._clock()), soft_wrap=True, highlight=False)

    def _on_warned(self, event: Event) -> None:
        from headway.observe import display

        if not isinstance(event, Warned) or event.message in self._said or len(self._said) >= WARNINGS_SHOWN:
            return
        self._said.add(event.message)
        text = display.warning(event.message, is_last=len(self._said) == WARNINGS_SHOWN)
        self._screen().print(text, soft_wrap=True)

    def _print_line(self, now: float) -> None:
        from headway.observe import display

        self._next_line = now + LINE_EVERY_S
        self._screen().print(display.line(self.tally, now, self._rate(now)), soft_wrap=True, highlight=False)

    def _rate(self, now: float) -> float:
        """Calls ended per second, over the last few seconds."""
        counts, samples = self.tally.totals(), self._samples
        ended = counts[Phase.DONE] + counts[Phase.FAILED] + counts[Phase.CANCELLED]
        if not samples:
            samples.append((self.tally.run.at if self.tally.run else now, 0))
        samples.append((now, ended))
        while len(samples) > 2 and samples[1][0] <= now - RATE_OVER_S:
            samples.popleft()
        then, before = samples[0]
        return (ended - before) / (now - then) if now > then else 0.0


_SPECIAL: dict[type[Event], Callable[[Progress, Event], None]] = {
    RunStarted: Progress._on_run_started,
    RunEnded: Progress._on_run_ended,
    Warned: Progress._on_warned,
}
