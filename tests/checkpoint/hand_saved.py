"""A trainer that saves arrays through the helper process by hand. As a script it can be killed from within:

python hand_saved.py ROOT ID STEP [fork]
"""

from __future__ import annotations

import os
import queue
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from headway.checkpoint.catalog.listing import newest
from headway.checkpoint.files.file_layout import FileImage, lay_out
from headway.checkpoint.files.manifest import Head, Manifest, Object, block_hashes, block_nbytes
from headway.checkpoint.files.stored import read_segment
from headway.checkpoint.helper.client import Begun, HelperClient
from headway.checkpoint.helper.messages import CommitPlan, Durable, Failed, Happened, WriterPlan, Written
from headway.checkpoint.layout.boxes import Box, whole
from headway.checkpoint.layout.dtypes import code_of, raw_dtype
from headway.checkpoint.layout.pieces import Piece
from headway.checkpoint.save.snapshot import Copy, Snapshot
from headway.checkpoint.state.inventory import Holding, HostMemory
from headway.storage.opening import open_backend

Array = np.ndarray[Any, np.dtype[Any]]
PATIENCE_S = 60.0


def object_of(array: Array) -> Object:
    return Object(code_of(array.dtype), array.shape)


def holding_of(name: str, array: Array, *, guarded: bool = True, changes: Any = None) -> Holding:
    flat = array.reshape(-1).view(raw_dtype(code_of(array.dtype)))
    strides = tuple(stride // array.itemsize for stride in array.strides)
    memory = HostMemory(flat, array, changes)
    return Holding(name, object_of(array), (Piece(whole(array.shape), 0, strides),), memory, guarded)


def items_of(image: FileImage, holdings: Mapping[str, Holding]) -> list[Copy]:
    return [Copy(holdings[e.name], holdings[e.name].pieces[0].narrow(e.box), e.start) for e in image.fragments]


class Trainer:
    """Saves named arrays to a root and remembers what it heard."""

    def __init__(self, root: Path, *, deadline_s: float = PATIENCE_S) -> None:
        self.root, self.deadline_s = root, deadline_s
        self.heard: queue.Queue[Happened] = queue.Queue()
        self.client = HelperClient(self.heard.put)
        self.basis: Head | None = None

    def plan(
        self,
        checkpoint: str,
        step: int,
        arrays: Mapping[str, Array],
        *,
        boxes: Mapping[str, Box] | None = None,
        writer: str = "00000",
        writers: tuple[str, ...] = ("00000",),
        **of_commit: Any,
    ) -> tuple[WriterPlan, FileImage]:
        objects = {name: object_of(array) for name, array in arrays.items()}
        mine = boxes if boxes is not None else {name: whole(kept.shape) for name, kept in objects.items()}
        image = lay_out([(name, objects[name], box) for name, box in mine.items()], checkpoint)
        of_commit.setdefault("basis", self.basis)
        of_commit.setdefault("parent", self.basis.id if self.basis else "")
        commit = CommitPlan(writers, objects, {}, time.time(), **of_commit) if writer == writers[0] else None
        return (
            WriterPlan(
                str(self.root), checkpoint, step, writer, image.nbytes, len(image.header), image.fragments, commit, self.deadline_s
            ),
            image,
        )

    def begin(self, checkpoint: str, step: int, arrays: Mapping[str, Array], **how: Any) -> tuple[Begun, Snapshot] | None:
        """Begin a save; nothing is copied yet."""
        plan, image = self.plan(checkpoint, step, arrays, **how)
        begun = self.client.begin(plan)
        if begun is None:
            return None

        def end(error: Exception | None) -> None:
            if error is None:
                begun.staged(snapshot.phases())
            else:
                begun.abandon(str(error))

        holdings = {name: holding_of(name, array) for name, array in arrays.items()}
        snapshot = Snapshot(items_of(image, holdings), begun.image, begun.progress, end, header=image.header)
        return begun, snapshot

    def save(self, checkpoint: str, step: int, arrays: Mapping[str, Array], **how: Any) -> Durable | Failed:
        begun = self.begin(checkpoint, step, arrays, **how)
        assert begun is not None, "all buffers are in use"
        begun[1].start()
        begun[1].wait()
        return self.end_of(checkpoint)

    def end_of(self, checkpoint: str) -> Durable | Failed:
        while True:
            event = self.heard.get(timeout=PATIENCE_S)
            if event.id == checkpoint and isinstance(event, Durable):
                self.basis = Head(checkpoint, self.step_of(checkpoint), event.serial)
            if event.id == checkpoint and not isinstance(event, Written):
                return event

    def step_of(self, checkpoint: str) -> int:
        (folder,) = (self.root / "steps").glob(f"*-{checkpoint}")
        return int(folder.name.partition("-")[0])


def arrays_of(step: int) -> dict[str, Array]:
    """A state that is another one in each step: 6 MiB, with an empty and a 0-d array."""
    rng = np.random.default_rng(step)
    return {
        "a.w": rng.standard_normal((1024, 1025), dtype=np.float32),
        "b.w": rng.integers(0, 255, (1 << 20) + 3, dtype=np.uint8),
        "empty": np.zeros((0, 3), np.int64),
        "step": np.asarray(step, np.int64),
    }


def read_back(root: Path, manifest: Manifest) -> dict[str, Array]:
    """The arrays of a checkpoint, all hashes compared."""
    backend = open_backend(root)
    found = {name: np.zeros(kept.shape, kept_dtype(kept)) for name, kept in manifest.objects.items()}
    for ref in manifest.segments:
        segment = read_segment(backend, ref)
        data = (root / segment.file).read_bytes()
        assert len(data) == segment.nbytes
        for fragment in segment.fragments:
            kept = manifest.objects[fragment.name]
            part = np.frombuffer(data, kept_dtype(kept), fragment.box.volume, fragment.start).reshape(fragment.extent)
            block = block_nbytes(fragment.extent, part.itemsize)
            assert block_hashes(memoryview(part.tobytes()), block) == fragment.hashes
            found[fragment.name][tuple(slice(b, e) for b, e in zip(fragment.offset, fragment.box.end, strict=True))] = part
    return found


def kept_dtype(kept: Object) -> Any:
    from headway.checkpoint.layout.dtypes import numpy_dtype

    return numpy_dtype(kept.dtype)


def newest_of(root: Path) -> Manifest:
    """The newest verified checkpoint."""
    found = newest(open_backend(root))
    assert found.manifest is not None, (found.skipped, files_of(root))
    return found.manifest


def assert_holds(root: Path, checkpoint: str, arrays: dict[str, Array]) -> None:
    """The newest checkpoint is this one, with these values."""
    manifest = newest_of(root)
    assert manifest.id == checkpoint
    assert {name: each.tobytes() for name, each in read_back(root, manifest).items()} == {n: a.tobytes() for n, a in arrays.items()}


def files_of(root: Path) -> list[str]:
    """All files of a root but for locks."""
    found = (str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    return sorted(file for file in found if not file.endswith(".lock"))


def main() -> None:
    root, checkpoint, step, *options = sys.argv[1:]
    trainer = Trainer(Path(root))
    trainer.client.prepare(1)
    print(trainer.client.pid, flush=True)
    sys.stdin.readline()
    begun = trainer.begin(checkpoint, int(step), arrays_of(int(step)))
    assert begun is not None
    if "fork" in options and os.fork() == 0:
        os.read(0, 1)  # until this program's reader ends
        os._exit(0)
    if "unstaged" in options:
        begun[0].progress(4096)
        os._exit(0)
    begun[1].start()
    begun[1].wait()
    os._exit(0)  # nothing is waited for


if __name__ == "__main__":
    main()
