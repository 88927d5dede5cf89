"""The agent: a small program on a machine that was hired. It runs worker processes there for one driver and relays what they say.

It knows nothing of tasks, values or the journal; it passes bytes on. What it does know is when to end: when the driver says so,
when the connection ends, when the driver gives no sign of life, or when its standard input ends, which is how whoever hired it says
that the place is needed. Then it kills its workers with all that they have started, and leaves. If it is killed itself, the kernel
does that for it (`workers/lifeline`).

One loop, nothing in it that waits for a single worker. Starting a process takes long on a busy machine, so that has a thread of its
own: an agent must not seem dead because it is at work.
"""

from __future__ import annotations

import importlib.machinery
import os
import selectors
import signal
import socket
import stat
import sys
import sysconfig
import time
import types
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

import msgspec

from headway.ipc.beside import BESIDE, Beside
from headway.pools.agents import direct
from headway.pools.agents.child import Child
from headway.pools.agents.direct import Stored
from headway.pools.agents.wire import frames
from headway.pools.agents.wire.certificate import connect_pinned
from headway.pools.agents.wire.facts import Welcome, own_facts
from headway.pools.agents.wire.frames import Frame, Link
from headway.pools.agents.wire.invitation import Invitation
from headway.pools.agents.wire.proof import NotProven, introduce_agent, receive_framed, send_framed
from headway.pools.program import FOLDER_OF_DRIVER
from headway.pools.workers.lifeline import die_with, hear_sigterm

DIAL_S = 20.0
END_S = 5.0
GONE = "whoever hired this agent is gone"
DISMISSED = "dismissed"
_starts = Beside("headway-starts", one_at_a_time=True)
_KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 20_000}


class Refused(Exception):
    """The driver does not want this agent, or is not the driver."""


def dial(invitation: Invitation) -> tuple[Link, Welcome]:
    """Connect to the driver, prove the token, and hear what this agent is to be. Raises Refused."""
    where = f"{invitation.host}:{invitation.port}"
    try:
        plain = socket.create_connection((invitation.host, invitation.port), timeout=DIAL_S)
        address = plain.getsockname()[0]
        sock = connect_pinned(plain, invitation.fingerprint) if invitation.fingerprint else plain
        introduce_agent(sock, invitation)
        send_framed(sock, msgspec.msgpack.encode(own_facts(address)))
        told = msgspec.msgpack.decode(receive_framed(sock), type=Welcome)
    except (NotProven, msgspec.DecodeError, OSError) as error:
        raise Refused(f"the driver at {where} can't be reached: {error}") from error
    if told.refusal:
        raise Refused(told.refusal)
    keep_alive(plain if not invitation.fingerprint else sock)
    return Link(sock), told


def keep_alive(sock: socket.socket) -> None:
    """Send small frames at once, and have the kernel notice when the other machine is gone."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def pose_as(told: Welcome) -> None:
    """Have workers find the program as those on the driver's machine do: its modules, and its main module."""
    own = list(sys.path)
    of_python = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    places = [_here(each, told.folder) for each in told.path if "site-packages" not in each and "dist-packages" not in each]
    program = [each for each in places if Path(each).is_dir() and not each.startswith(of_python) and each not in own]
    sys.path[:] = [*program, *own]
    os.environ[FOLDER_OF_DRIVER] = told.folder
    main = types.ModuleType("__main__")
    if told.main_name:
        main.__spec__ = importlib.machinery.ModuleSpec(told.main_name, None)
    elif told.main_path and Path(file := _here(told.main_path, told.folder)).is_file():
        main.__file__ = file
    _ours.append(sys.modules["__main__"])
    sys.modules["__main__"] = main
    sys.argv[:] = told.argv


_ours: list[types.ModuleType] = []  # a module that nobody holds loses its globals


def _here(path: str, folder: str) -> str:
    """Where a path of the driver's is on this machine: the same place, or the same under this process's folder."""
    if not Path(path).exists() and folder and Path(path).is_relative_to(folder):
        return str(Path.cwd() / Path(path).relative_to(folder))
    return path


class Agent:
    """Serves one driver until it is lost."""

    def __init__(self, link: Link, told: Welcome, hirer: int | None) -> None:
        self._link, self._told, self._hirer = link, told, hirer
        self._children: dict[int, Child] = {}
        self._starting: dict[int, Future[Child]] = {}
        self._killed_early: set[int] = set()
        self._wake_r, self._wake_w = os.pipe()
        self._blobs = direct.reach(told.blobs, told.probe)
        self._storing: dict[int, Future[Stored | None]] = {}  # by worker, results on their way into the store
        self._large: dict[int, tuple[bytes, int]] = {}
        self._late: dict[int, list[tuple[bytes, int | None]]] = {}  # what those workers have said since
        self._selector = selectors.DefaultSelector()
        self._writes: dict[int, bool] = {}  # of descriptors, whether we wait for room
        self._over = ""

    def serve(self) -> str:
        """Work until the end, and say what it was. No worker is left then."""
        self._watch(self._link.fileno(), self._on_link)
        self._watch(self._wake_r, self._on_wake)
        if self._hirer is not None:
            self._watch(self._hirer, self._on_hirer)
        try:
            while not self._over:
                for key, events in self._selector.select(self._told.beat_s):
                    now = self._selector.get_map().get(key.fd)
                    if now is not None and now.data is key.data:  # it may have gone in this turn, and another one come
                        key.data(events)
                self._beat()
        except (OSError, EOFError) as error:
            self._over = f"the connection to the driver was cut ({error})"
        finally:
            self._end_all()
        return self._over

    # --- the driver ---------------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        now = time.monotonic()
        if now - self._link.heard_at > self._told.patience_s:
            self._over = f"the driver gave no sign of life for {self._told.patience_s:g} s"
        elif now - self._link.sent_at >= self._told.beat_s:
            self._link.put(frames.BEAT)
        self._link.flush()
        self._note_room(self._link.fileno(), self._link.pending, self._on_link)

    def _on_link(self, events: int) -> None:
        if events & selectors.EVENT_READ:
            for frame in self._link.receive():
                self._obey(frame)

    def _on_hirer(self, _: int) -> None:
        assert self._hirer is not None
        with suppress(BlockingIOError):
            if not os.read(self._hirer, 4096):
                self._over = GONE

    def _obey(self, frame: Frame) -> None:
        if frame.kind == frames.START:
            self._start(frame.worker)
            return
        if frame.kind == frames.BYE:
            self._over = DISMISSED
            return
        child = self._children.get(frame.worker)
        if child is None:  # it has just ended, or is about to begin
            if frame.fd is not None:
                os.close(frame.fd)
            if frame.kind in (frames.LEAVE, frames.KILL) and frame.worker in self._starting:
                self._killed_early.add(frame.worker)
        elif frame.kind == frames.MESSAGE:
            child.pass_on(frame.body, frame.fd)
            self._note_room(child.jobs.fileno(), child.pending, lambda events: self._on_child(child, events))
        elif frame.kind == frames.CONTROL:
            child.control(frame.body)
        elif frame.kind == frames.LEAVE:
            child.leave()
        elif frame.kind == frames.KILL:
            child.kill()

    # --- workers ------------------------------------------------------------------------------------------------------

    def _start(self, number: int) -> None:
        self._starting[number] = future = _starts.submit(Child, number)
        future.add_done_callback(lambda _: os.write(self._wake_w, b"!"))

    def _on_wake(self, _: int) -> None:
        """Take in the workers that have begun, and tell the results that are in the store."""
        os.read(self._wake_r, 4096)
        for number, storing in list(self._storing.items()):
            if storing.done():
                self._tell_stored(number)
        for number, future in list(self._starting.items()):
            if not future.done():
                continue
            del self._starting[number]
            if (error := future.exception()) is not None:  # no process, no descriptor, no forkserver
                self._link.put(frames.REFUSED, number, f"{type(error).__name__}: {error}".encode())
            else:
                self._take_in(future.result())

    def _take_in(self, child: Child) -> None:
        self._children[child.number] = child
        self._watch(child.jobs.fileno(), lambda events: self._on_child(child, events))
        self._watch(child.sentinel, lambda _: self._on_exit(child))
        self._link.put(frames.STARTED, child.number, str(child.pid).encode())
        if child.number in self._killed_early:
            self._killed_early.discard(child.number)
            child.kill()

    def _on_child(self, child: Child, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            child.flush()
        if events & selectors.EVENT_READ and not self._relay(child):
            self._forget(child.jobs.fileno())  # it is ending, or its program has closed what it does not own
            if not child.leaving:
                child.kill()
            return
        self._note_room(child.jobs.fileno(), child.pending, lambda events: self._on_child(child, events))

    def _relay(self, child: Child) -> bool:
        """Pass on what the worker has said; False when it says no more."""
        try:
            for body, fd in child.receive():
                self._pass_on(child.number, body, fd)
        except BlockingIOError:
            pass
        except (EOFError, OSError):
            return False
        return True

    def _on_exit(self, child: Child) -> None:
        self._forget(child.sentinel)
        code = child.reap()
        while child.jobs.fileno() in self._writes and self._relay_rest(child):
            pass
        while (storing := self._storing.get(child.number)) is not None:  # it died after its result, which counts
            with suppress(Exception):
                storing.result(END_S)
            self._tell_stored(child.number)
        self._drop(child)
        self._link.put(frames.EXITED, child.number, str(code).encode())

    def _relay_rest(self, child: Child) -> bool:
        """Pass on what an ended worker has said before; False when that was all."""
        try:
            said = child.receive()
        except (EOFError, OSError):
            return False
        for body, fd in said:
            self._pass_on(child.number, body, fd)
        return True

    def _pass_on(self, number: int, body: bytes, fd: int | None) -> None:
        """Relay what a worker has said; put a large result into the store first, where that can be reached."""
        if number in self._storing:
            self._late.setdefault(number, []).append((body, fd))
            return
        if fd is None or self._blobs is None or not direct.is_large(body):
            self._link.put(frames.MESSAGE, number, body, fd)
            return
        self._large[number] = body, fd
        self._storing[number] = future = BESIDE.submit(direct.put_result, self._blobs, body, fd)
        future.add_done_callback(lambda _: os.write(self._wake_w, b"!"))

    def _tell_stored(self, number: int) -> None:
        """Tell a result that is in the store by now, or send it after all."""
        (body, fd), future = self._large.pop(number), self._storing.pop(number)
        stored = future.result() if future.exception() is None else None
        if stored is None:
            self._link.put(frames.MESSAGE, number, body, fd)
        else:
            os.close(fd)
            self._link.put(frames.STORED, number, msgspec.msgpack.encode(stored))
        for said, block in self._late.pop(number, ()):
            self._pass_on(number, said, block)

    def _drop(self, child: Child) -> None:
        self._forget(child.jobs.fileno())
        child.close()
        del self._children[child.number]

    def _end_all(self) -> None:
        for future in self._starting.values():
            with suppress(Exception):  # it did not begin
                child = future.result(END_S)
                self._children[child.number] = child
        for child in self._children.values():
            child.kill()
        for child in self._children.values():
            child.process.join(END_S)
        self._link.close()

    # --- what the loop watches ----------------------------------------------------------------------------------------

    def _watch(self, fd: int, act: object) -> None:
        self._selector.register(fd, selectors.EVENT_READ, act)
        self._writes[fd] = False

    def _note_room(self, fd: int, wanted: bool, act: object) -> None:
        if self._writes.get(fd, wanted) != wanted:
            self._writes[fd] = wanted
            self._selector.modify(fd, selectors.EVENT_READ | (selectors.EVENT_WRITE if wanted else 0), act)

    def _forget(self, fd: int) -> None:
        if self._writes.pop(fd, None) is not None:
            self._selector.unregister(fd)


def run_agent(invitation: Invitation, hirer: int | None) -> str:
    """Dial the driver and serve it; why that ended. Raises Refused where it did not begin."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver
    hear_sigterm()
    link, told = dial(invitation)
    pose_as(told)
    if hirer is not None and (stat.S_ISFIFO(kind := os.fstat(hirer).st_mode) or stat.S_ISSOCK(kind)):
        die_with(hirer, os.getpid())  # the kernel sees to it where this process is stopped; its workers end with it
    return Agent(link, told, hirer).serve()
