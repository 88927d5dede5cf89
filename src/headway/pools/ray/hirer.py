"""Agents in a Ray cluster: a placement group reserves the room, and an actor in each of its bundles starts an agent and ends it.

Ray places and nothing else. Its actors hold a subprocess by its standard input; calls go from the driver to the agent, past Ray. So
none of Ray's own retries may be on: an actor that dies takes its agent along, and the staff hires again. A placement group is
scheduled whole or not at all, and waits in the cluster's demand meanwhile, where an autoscaler sees it.

Ray keeps one connection for a process. It is left open after a run, as the program may use it too; one that this file began without
a cluster to join, so a cluster of its own, is shut down when the process ends, by Ray.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import os
import queue
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import headway
from headway.errors import HeadwayError
from headway.extras import explain_missing
from headway.pools.agents.hirer import Bundle, Offer
from headway.pools.agents.hirers.command import own_address
from headway.pools.agents.wire.invitation import is_loopback

T = TypeVar("T")
CONNECT_S = 5.0
"""How long a cluster may take to answer the first word."""


class RayFailed(HeadwayError):
    """Ray is not there, or can't do what it is asked for."""


class RayHirer:
    """Starts agents by Ray actors.

    Args:
        bundles: what each agent needs.
        cluster: a `ray://` address; else the cluster that Ray knows of (RAY_ADDRESS, one on this machine), else a new one here.
        address: the address of this machine that agents dial; found out where it is empty.
    """

    def __init__(self, bundles: Sequence[Bundle], cluster: str = "", address: str = "") -> None:
        self.bundles: Sequence[Bundle] = bundles
        self._cluster, self._address = cluster, address
        self._ray: Any = None
        self._hands: list[_Hand] = []

    def reach(self) -> str:
        return _in_ray_thread(self._reach)

    def hire(self, offers: Sequence[Offer]) -> Sequence[_Hand]:
        return _in_ray_thread(self._hire, offers)

    def close(self) -> None:
        if self._hands:
            _in_ray_thread(self._close)

    def _reach(self) -> str:
        ray = self._connect()
        if self._address:
            return self._address
        nodes = {str(node["NodeManagerAddress"]) for node in ray.nodes() if node.get("Alive")}
        mine = own_address()
        return "127.0.0.1" if nodes <= {mine, "127.0.0.1"} or all(map(is_loopback, nodes)) else mine

    def _hire(self, offers: Sequence[Offer]) -> Sequence[_Hand]:
        ray = self._connect()
        from ray.util.placement_group import placement_group

        wants = [_as_resources(offer.bundle) for offer in offers]
        try:
            group = placement_group(wants, strategy="PACK")
        except Exception as error:
            raise RayFailed(f"Ray reserves no room: {_first_line(error)}") from error
        shared = _Group(ray, group, len(offers), wants)
        made: list[_Hand] = []
        try:
            for index, offer in enumerate(offers):
                made.append(_Hand(ray, shared, index, offer))
        except Exception as error:
            for each in made:
                each._dismiss()
            shared.remove()
            raise RayFailed(f"Ray starts no actor: {_first_line(error)}") from error
        self._hands = [each for each in self._hands if not each.is_over] + made
        return made

    def _close(self) -> None:
        for each in self._hands:
            with contextlib.suppress(Exception):  # it is gone already, or Ray is
                each._dismiss()
        self._hands.clear()

    def _connect(self) -> Any:
        if self._ray is None:
            self._ray = connect(self._cluster)
        return self._ray


_asked: queue.SimpleQueue[tuple[concurrent.futures.Future[Any], Callable[..., Any], tuple[Any, ...]]] = queue.SimpleQueue()
_thread: list[threading.Thread] = []


def _in_ray_thread(function: Callable[..., T], *args: Any) -> T:
    """Run a function in the one thread that talks to Ray. A cluster that Ray starts ends with the thread that started it, as Linux
    counts parents by threads, so that one must stay."""
    if not _thread:
        _thread.append(threading.Thread(target=_serve, name="headway-ray", daemon=True))
        _thread[0].start()
    future: concurrent.futures.Future[T] = concurrent.futures.Future()
    _asked.put((future, function, args))
    return future.result()


def _serve() -> None:
    while True:
        future, function, args = _asked.get()
        try:
            future.set_result(function(*args))
        except BaseException as error:
            future.set_exception(error)
        del future, function, args


def connect(cluster: str) -> Any:
    """The module `ray`, connected. Raises RayFailed with a sentence, and UsageError where Ray is not installed."""
    with explain_missing("hiring with Ray"):
        import ray
    if ray.is_initialized():
        return ray
    quiet: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    logging.getLogger("ray").setLevel(logging.ERROR)  # what it says of itself is nothing for the user of a run
    where = cluster or os.environ.get("RAY_ADDRESS", "")
    _check_listens(where)
    try:
        if where:
            ray.init(where, **quiet)
            return ray
        try:
            ray.init("auto", **quiet)
        except ConnectionError:
            ray.init(include_dashboard=False, **quiet)
    except Exception as error:
        place = where or "on this machine"
        if "mismatch" in str(error).lower():
            raise RayFailed(
                f"the Ray cluster {place} has another version than this driver: {' '.join(str(error).split())}"
            ) from error
        if "ray[client]" in str(error):
            raise RayFailed(
                f"{where} is an address of Ray Client, which is missing: pip install 'ray[client]', or run the program on a "
                "machine of the cluster, where ray:8cpu finds it"
            ) from error
        raise RayFailed(f"the Ray cluster {place} can't be used: {_first_line(error)}") from error
    return ray


def _check_listens(where: str) -> None:
    """Raise RayFailed where nobody is at an address. Ray itself tries for minutes."""
    host, colon, port = where.removeprefix("ray://").partition("?")[0].rpartition(":")
    if not colon or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
    except OSError as error:
        raise RayFailed(
            f"there is no Ray cluster at {where} ({error.strerror or error}): start one with `ray start --head`, or name none, "
            "and one is started on this machine"
        ) from error


def _as_resources(bundle: Bundle) -> dict[str, float]:
    return {"CPU": float(bundle.cpu)} | ({"GPU": float(bundle.gpu)} if bundle.gpu else {})


class _Group:
    """A placement group, and how many hands still use it."""

    def __init__(self, ray: Any, group: Any, count: int, wants: Sequence[dict[str, float]]) -> None:
        self._ray, self.group, self._count, self.wants = ray, group, count, wants

    def leave(self) -> None:
        self._count -= 1
        if not self._count:
            self.remove()

    def remove(self) -> None:
        from ray.util.placement_group import remove_placement_group

        with contextlib.suppress(Exception):  # the cluster is gone, and with it the group
            remove_placement_group(self.group)


class _Hand:
    """An actor that holds an agent."""

    def __init__(self, ray: Any, group: _Group, index: int, offer: Offer) -> None:
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        self._ray, self._group = ray, group
        strategy = PlacementGroupSchedulingStrategy(placement_group=group.group, placement_group_bundle_index=index)
        actor = ray.remote(_actor_class()).options(
            num_cpus=offer.bundle.cpu,
            num_gpus=offer.bundle.gpu,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy=strategy,
        )
        self._actor = actor.remote()
        self._started = self._actor.start.remote(offer.invitation, str(Path.cwd()), str(Path(headway.__file__).parents[1]))
        self.is_over = False

    def trouble(self) -> str:
        return _in_ray_thread(self._trouble)

    def waits_for(self) -> str:
        """What no machine of the cluster has, unless somebody adds one."""
        return _in_ray_thread(self._waits_for)

    def dismiss(self, *, gently: bool) -> None:
        _in_ray_thread(self._dismiss, gently)

    def _trouble(self) -> str:
        ray = self._ray
        if self.is_over:
            return "it was dismissed"
        try:
            done, _ = ray.wait([self._started], timeout=0)
            if done:
                ray.get(self._started)
                return str(ray.get(self._actor.trouble.remote(), timeout=5))
        except ray.exceptions.GetTimeoutError:
            return ""
        except Exception as error:
            return f"its Ray actor ended ({_first_line(error)})"
        return ""

    def _waits_for(self) -> str:
        largest: dict[str, float] = {}
        for node in self._ray.nodes():
            if node.get("Alive"):
                for name, amount in node.get("Resources", {}).items():
                    largest[name] = max(largest.get(name, 0.0), amount)
        wants = [(amount, name) for want in self._group.wants for name, amount in want.items()]
        lacks = [f"{amount:g} {name}" for amount, name in wants if amount > largest.get(name, 0.0)]
        if lacks:
            return f"no machine of the Ray cluster has {lacks[0]} (the largest has {_say(largest)})"
        return "the Ray cluster has no room for it now"

    def _dismiss(self, gently: bool = False) -> None:
        if self.is_over:
            return
        self.is_over = True
        with contextlib.suppress(Exception):  # the actor is gone
            self._ray.get(self._actor.end.remote(gently), timeout=10)
        with contextlib.suppress(Exception):
            self._ray.kill(self._actor, no_restart=True)
        self._group.leave()


def _say(resources: dict[str, float]) -> str:
    return ", ".join(f"{resources.get(name, 0):g} {name}" for name in ("CPU", "GPU"))


def _actor_class() -> type:
    """The actor's class. Made here, so that Ray sends it by value and needs nothing of this file on its machines."""

    class Placed:
        """Holds an agent's process."""

        def start(self, invitation: str, folder: str, headway: str) -> int:
            import os
            import subprocess
            import sys
            import tempfile

            self.said = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
            there = os.path.isdir(folder)  # noqa: PTH112 - nothing of the driver's imports is here
            found = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH", ""), headway)))
            self.process = subprocess.Popen(
                [sys.executable, "-m", "headway.pools.agents"],
                stdin=subprocess.PIPE,
                stdout=self.said,
                stderr=subprocess.STDOUT,
                cwd=folder if there else None,
                env={**os.environ, "PYTHONPATH": found},
            )
            assert self.process.stdin is not None
            try:
                self.process.stdin.write(invitation.encode() + b"\n")
                self.process.stdin.flush()
            except BrokenPipeError:
                return 0  # it has ended, and `trouble` says how
            return self.process.pid

        def trouble(self) -> str:
            code = self.process.poll()
            if code is None:
                return ""
            self.said.seek(0)
            lines = [line for line in self.said.read().decode(errors="replace").splitlines() if line.strip()]
            last = lines[-1].strip().removeprefix("headway agent: ") if lines else f"exit code {code}"
            return f"python -m headway.pools.agents ended there: {last}"

        def end(self, gently: bool) -> None:
            import contextlib
            import subprocess

            assert self.process.stdin is not None
            if gently:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(5)
            self.process.stdin.close()
            try:
                self.process.wait(2)
            except subprocess.TimeoutExpired:
                self.process.kill()

    return Placed


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[0].strip() if lines else type(error).__name__
