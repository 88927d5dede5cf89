"""A tensor goes from room to room on its way into a checkpoint, and comes back to none of them again and again.

What is traced are calls of functions in the folders of the package, on the thread that saves. Three things are no stops on the way:
methods of records (boxes, pieces, fragments: they are what is carried), comprehensions, and `checkpoint/process`, which has the
clocks, the ranks and the failpoints beside the path.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import pytest
from small_net import torch

import headway as hw
from headway.checkpoint.layout.declared import Layout, Replicated, Split

HOUSE = f"{Path(hw.__file__).parent}/"
SAVES = 3  # the last of which is traced: the ranks have agreed, the helper runs, its buffer is there


def room_of(frame: FrameType) -> str | None:
    """The folder of a function of the checkpoint's way; None for what is no stop on it."""
    code = frame.f_code
    parts = code.co_filename.removeprefix(HOUSE).split("/")[:-1]
    if not code.co_filename.startswith(HOUSE) or parts[:1] not in (["checkpoint"], ["ipc"], ["storage"]):
        return None
    if code.co_name.startswith("<") or parts[:2] == ["checkpoint", "process"]:
        return None
    owner = getattr(sys.modules[frame.f_globals["__name__"]], code.co_qualname.rpartition(".")[0], None)
    is_record = isinstance(owner, type) and issubclass(owner, (tuple, msgspec.Struct))
    return None if is_record else "/".join(parts[:2])


class Trace:
    """`stays`: the rooms of the functions that ran, in order. `visits`: the rooms that were entered by a call from another one, so
    that going on in the room that called is not another visit."""

    def __init__(self, save: Callable[[], Any]) -> None:
        stays: list[str] = []
        visits: list[str] = []

        def heard(frame: FrameType, event: str, _: object) -> None:
            room = room_of(frame) if event == "call" else None
            if room is None:
                return
            stays.append(room)
            caller = frame.f_back
            while caller is not None and room_of(caller) is None:
                caller = caller.f_back
            if caller is None or room_of(caller) != room:
                visits.append(room)

        before = sys.getprofile()
        sys.setprofile(heard)
        try:
            save()
        finally:
            sys.setprofile(before)
        self.stays, self.visits = _in_a_row(stays), _in_a_row(visits)

    @property
    def returns(self) -> int:
        """How often a room was come back to."""
        return len(self.stays) - len(set(self.stays))


def _in_a_row(rooms: Iterable[str]) -> list[str]:
    return [room for room, _ in groupby(rooms)]


def path_of(root: Path, state: dict[str, Any], layout: Layout | None = None) -> Trace:
    with hw.Checkpoints(root, layout=layout) as checkpoints:
        for step in range(1, SAVES):
            checkpoints.save(state, step).durable()
        path = Trace(lambda: checkpoints.save(state, SAVES))
        checkpoints.wait()
        assert checkpoints.latest().step == SAVES
    return path


def test_a_tensor_visits_each_room_once_or_twice(tmp_path: Path) -> None:
    path = path_of(tmp_path, {"w": torch.ones(16, 16)})
    assert path.visits == [
        "checkpoint",
        "checkpoint/save",
        "checkpoint/state",  # collect
        "checkpoint/layout",  # place
        "checkpoint/helper",  # is there room for a save?
        "checkpoint/files",  # lay out the file
        "checkpoint/helper",  # begin
        "ipc",
        "checkpoint/state",  # read
        "checkpoint/helper",  # all is copied
        "ipc",
    ]
    assert path.returns <= 18
    most = Counter(path.stays)
    assert most["checkpoint/layout"] <= 2
    assert most["checkpoint/files"] == 1


@pytest.mark.parametrize("layout", [None, Layout([Split("w1*", 0, "tp"), Replicated("*")], {"tp": (0, 1)})])
def test_many_tensors_take_the_path_of_one(tmp_path: Path, layout: Layout | None) -> None:
    one = path_of(tmp_path / "one", {"w1": torch.ones(4, 4)}, layout)
    many = path_of(tmp_path / "many", {f"w{number}": torch.ones(4, 4) for number in range(12)}, layout)
    assert many.visits == one.visits
    for room in ("layout", "files", "helper"):
        assert Counter(many.stays)[f"checkpoint/{room}"] == Counter(one.stays)[f"checkpoint/{room}"]


def test_moments_of_an_optimizer_are_placed_together(tmp_path: Path) -> None:
    def state(layers: int) -> dict[str, Any]:
        net = torch.nn.Sequential(*(torch.nn.Linear(2, 2) for _ in range(layers)))
        optimizer = torch.optim.AdamW(net.parameters())
        net(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        return {"model": net, "opt": optimizer}

    few, many = path_of(tmp_path / "few", state(1)), path_of(tmp_path / "many", state(6))
    assert Counter(many.stays)["checkpoint/layout"] == Counter(few.stays)["checkpoint/layout"]
