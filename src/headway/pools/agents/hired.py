"""`Hired`: what a run is given instead of a size, to have its processes on other machines. It describes and starts nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from headway.errors import UsageError
from headway.pools.agents.hirer import Bundle, Hirer

if TYPE_CHECKING:
    from headway.pools.agents.staff import Staff

_SIZE = re.compile(r"(?:(?P<agents>\d+)x)?(?P<cpu>\d+)cpu(?:\+(?P<gpu>\d+)gpu)?")
_EXAMPLES = "local:2x2cpu, ray:8cpu, ray://head:10001/2x8cpu+1gpu or 'cmd:ssh host python -m headway.pools.agents'"


class Hired:
    """Agents on other machines for the tasks of `pool="process"` and `pool="gang"`.

    `hw.run(…, pools={"process": hired, "gang": hired})` shares the agents between both. They are hired when there is work for them.

    Args:
        hire: where from, one text each: `local:2x4cpu` for two agents with four processes each on this machine,
            `ray:2x8cpu+1gpu` for two in placement groups of the Ray cluster (one is started where there is none),
            `ray://head:10001/8cpu` for one in that cluster, `cmd:ssh host python -m headway.pools.agents` for what a command
            starts (`cmd:4cpu:…` where it may run fewer processes than its machine has cores). Or a `Hirer` of your own, or what
            makes one for each run.
        idle_s: after so many seconds without work an agent is dismissed; the next call hires again.
        come_s: how many seconds an agent may take to come.
        patience_s: an agent that gives no sign of life for so many seconds is lost, and its calls with it.
        address: the address of this machine that agents on others dial; found out where it is empty.

    Raises:
        UsageError: a text says nothing of the kind, or a library for it is missing.

    Example:
        >>> Hired("local:2x2cpu")
        Hired('local:2x2cpu')
    """

    def __init__(
        self,
        *hire: str | Hirer | Callable[[], Hirer],
        idle_s: float = 60.0,
        come_s: float = 120.0,
        patience_s: float = 15.0,
        address: str = "",
    ) -> None:
        if not hire:
            raise UsageError(f"Hired() says nowhere to hire: write {_EXAMPLES}")
        for name, value in (("idle_s", idle_s), ("come_s", come_s), ("patience_s", patience_s)):
            if not isinstance(value, int | float) or not 0 < value < 10**9:
                raise UsageError(f"Hired({name}={value!r}): a number of seconds, above 0")
        self._hire, self._idle_s, self._come_s, self._patience_s, self._address = hire, idle_s, come_s, patience_s, address
        self._make = [_reader_of(each, address) if isinstance(each, str) else _maker_of(each) for each in hire]

    def __repr__(self) -> str:
        return f"Hired({', '.join(map(repr, self._hire))})"

    def make_staff(self) -> Staff:
        """The agents for one run, none of them hired yet."""
        from headway.pools.agents.staff import Staff

        return Staff(
            [make() for make in self._make],
            beat_s=min(1.0, self._patience_s / 4),
            patience_s=self._patience_s,
            come_s=self._come_s,
            idle_s=self._idle_s,
        )


def parse_size(text: str, whole: str) -> list[Bundle]:
    """The agents that a text like "2x8cpu+1gpu" means. Raises UsageError, naming the whole of which it is a part."""
    found = _SIZE.fullmatch(text)
    agents, cpu, gpu = (int(found["agents"] or 1), int(found["cpu"]), int(found["gpu"] or 0)) if found else (0, 0, 0)
    if not agents or not cpu:
        raise UsageError(f"hire {whole!r}: how much is not {text!r}; write {_EXAMPLES}")
    if agents * cpu > 100_000:
        raise UsageError(f"hire {whole!r}: {agents} agents of {cpu} CPU are more than one driver can use")
    return [Bundle(cpu, gpu)] * agents


def _reader_of(text: str, address: str) -> Callable[[], Hirer]:
    """What makes the hirer that a text names. Says now what is wrong with it."""
    kind, colon, rest = text.partition(":")
    if kind == "local" and colon:
        bundles = parse_size(rest, text)
        return lambda: _local(bundles)
    if kind == "cmd" and colon:
        return _command(rest, text, address)
    if kind == "ray" and colon:
        return _ray(rest, text, address)
    raise UsageError(f"hire {text!r}: nobody hires there; write {_EXAMPLES}")


def _local(bundles: Sequence[Bundle]) -> Hirer:
    from headway.pools.agents.hirers.local import LocalHirer

    return LocalHirer(bundles)


def _command(rest: str, whole: str, address: str) -> Callable[[], Hirer]:
    from headway.pools.agents.hirers.command import CommandHirer, split_command

    size, colon, command = rest.partition(":")
    bundle = Bundle(0)
    if colon and _SIZE.fullmatch(size):
        (bundle, *others) = parse_size(size, whole)
        if others:
            raise UsageError(f"hire {whole!r}: a command starts one agent; give one --hire for each")
        rest = command
    arguments = split_command(rest, whole)
    return lambda: CommandHirer(arguments, bundle, address)


def _ray(rest: str, whole: str, address: str) -> Callable[[], Hirer]:
    from headway.extras import require
    from headway.pools.ray.hirer import RayHirer

    require("hiring with Ray", "ray")
    cluster, size = "", rest
    if rest.startswith("//"):
        place, _, size = rest.removeprefix("//").partition("/")
        cluster = f"ray://{place}"
        if not place or not size:
            raise UsageError(f"hire {whole!r}: write ray://HOST:PORT/8cpu")
    bundles = parse_size(size, whole)
    return lambda: RayHirer(bundles, cluster, address)


def _maker_of(given: Hirer | Callable[[], Hirer]) -> Callable[[], Hirer]:
    """What makes a hirer of a program's own, for each run. Raises UsageError for what is none."""
    if isinstance(given, type) or (callable(given) and not hasattr(given, "hire")):
        return given
    lacks = [name for name in ("bundles", "reach", "hire", "close") if not hasattr(given, name)]
    if lacks:
        raise UsageError(f"Hired({given!r:.100}) is no hirer: it has no {' and no '.join(lacks)}; write {_EXAMPLES}")
    made: Hirer = given  # type: ignore[assignment]  # as the line above says
    return lambda: made
