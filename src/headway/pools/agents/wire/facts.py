"""What a driver and an agent tell each other once each has proven to know the token, and why they may not fit together."""

from __future__ import annotations

import os
import platform
import re
import socket
import sys
from multiprocessing import spawn
from pathlib import Path

import msgspec

from headway import __version__

PROTOCOL = 1


class AgentFacts(msgspec.Struct, frozen=True):
    """What an agent is.

    Attributes:
        protocol: the version of what is said on the connection.
        headway: its version of Headway.
        python: its version of Python, major and minor.
        host: its machine's name.
        address: the address of its machine by which it dialled, where other agents can reach it.
        pid: its process.
        cores: how many it may use.
        gpus: the names by which CUDA knows the graphics processors that it may use.
    """

    protocol: int
    headway: str
    python: str
    host: str
    address: str
    pid: int
    cores: int
    gpus: tuple[str, ...] = ()


class Welcome(msgspec.Struct, frozen=True):
    """What an agent is to be, or why it is not wanted.

    Attributes:
        refusal: why the driver does not want it; empty where it does.
        beat_s: how often each end gives a sign of life.
        patience_s: without a sign of the driver for so long, the agent ends.
        folder: where the driver works, for programs that lie elsewhere here.
        path: the driver's places for modules.
        main_name: the name of the module that the driver runs, where it has one.
        main_path: the file that the driver runs, where that is a file.
        argv: the driver's arguments.
        blobs: where the run's large values lie: a folder or the URL of an object store; empty where it has no such place.
        probe: the name of a blob that the driver has put there.
    """

    refusal: str = ""
    beat_s: float = 1.0
    patience_s: float = 60.0
    folder: str = ""
    path: tuple[str, ...] = ()
    main_name: str = ""
    main_path: str = ""
    argv: tuple[str, ...] = ()
    blobs: str = ""
    probe: bytes = b""


def own_python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def own_facts(address: str) -> AgentFacts:
    """What this process would be as an agent."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return AgentFacts(
        PROTOCOL, __version__, own_python(), platform.node() or socket.gethostname(), address, os.getpid(), cores, find_gpus()
    )


def find_gpus() -> tuple[str, ...]:
    """The graphics processors that this process may use, without asking a library."""
    told = os.environ.get("CUDA_VISIBLE_DEVICES")
    if told is not None:
        return tuple(each.strip() for each in told.split(",") if each.strip() not in ("", "-1", "NoDevFiles"))
    found = [file.name.removeprefix("nvidia") for file in Path("/dev").glob("nvidia[0-9]*")]
    return tuple(sorted((each for each in found if re.fullmatch(r"\d+", each)), key=int))


def welcome(beat_s: float, patience_s: float, blobs: str = "", probe: bytes = b"") -> Welcome:
    """What an agent needs to know of this driver."""
    told = spawn.get_preparation_data("agent")
    return Welcome(
        beat_s=beat_s,
        patience_s=patience_s,
        folder=str(Path.cwd()),
        path=tuple(str(Path(each or ".").resolve()) for each in sys.path),
        main_name=told.get("init_main_from_name", ""),
        main_path=told.get("init_main_from_path", ""),
        argv=tuple(sys.argv),
        blobs=blobs,
        probe=probe,
    )


def refuse(agent: AgentFacts) -> str:
    """Why this driver can't work with an agent; empty if it can."""
    where = f"the agent on {agent.host}"
    if agent.headway != __version__ or agent.protocol != PROTOCOL:
        return (
            f"{where} has Headway {agent.headway} (protocol {agent.protocol}), and this driver {__version__} "
            f"(protocol {PROTOCOL}): install the same version on both"
        )
    if agent.python != own_python():
        return (
            f"{where} runs Python {agent.python}, and this driver {own_python()}: "
            "values can't be passed between them; use the same version on both"
        )
    return ""
