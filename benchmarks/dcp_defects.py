"""What torch.distributed.checkpoint does when something goes wrong: seven defects, each shown in the version that is installed.

    python -m benchmarks.dcp_defects

Nothing of torch is changed; where something has to fail, it fails in a planner, a writer's last step or a file, as a full disk, a
killed process or a flipped bit would. `tests/checkpoint/formats/test_dcp_defects.py` has the same seven things happen to Headway.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import pickle
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from rich.console import Console
from rich.table import Table
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner, DefaultSavePlanner
from torch.distributed.checkpoint.filesystem import FileSystem
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata, MetadataIndex, TensorProperties
from torch.distributed.checkpoint.planner import (
    LoadItemType,
    LoadPlan,
    ReadItem,
    SavePlan,
    TensorWriteData,
    WriteItem,
    WriteItemType,
)

STRIDED = "--strided"  # this script is also what the two ranks of defect 6 run


class Shown(NamedTuple):
    """What DCP did, and whether that is the defect."""

    did: str
    defect: bool


def flipped_bit(folder: Path) -> Shown:
    """A bit flips in a .distcp file."""
    dcp.save({"w": torch.ones(1000)}, checkpoint_id=folder)
    file = next(folder.glob("*.distcp"))
    data = bytearray(file.read_bytes())
    data[data.index(torch.ones(4).numpy().tobytes()) + 2] ^= 0x40
    file.write_bytes(data)
    found = {"w": torch.zeros(1000)}
    dcp.load(found, checkpoint_id=folder)
    wrong = found["w"][found["w"] != 1]
    return Shown(f"loaded without an error: {len(wrong)} element is {wrong.tolist()} instead of 1", len(wrong) > 0)


def lost_exception(folder: Path) -> Shown:
    """A writer thread fails (thread_count=4)."""
    meeting, met = threading.Barrier(4), set[int]()

    class FullDisk(DefaultSavePlanner):
        """Resolves data as ever on the calling thread, and fails on the others; all have begun by then."""

        def resolve_data(self, write_item: WriteItem) -> torch.Tensor | io.BytesIO:
            if threading.get_ident() not in met:
                met.add(threading.get_ident())
                meeting.wait()
            if threading.current_thread() is not threading.main_thread():
                raise OSError(28, "No space left on device")
            return super().resolve_data(write_item)

    before = threading.excepthook
    threading.excepthook = lambda args: None
    try:
        state = {f"w{n}": torch.ones(100) for n in range(8)}
        metadata = dcp.save(state, storage_writer=dcp.FileSystemWriter(folder, thread_count=4), planner=FullDisk())
    finally:
        threading.excepthook = before
    return Shown(f"save returned normally, with {len(metadata.storage_data)} of 8 tensors stored", len(metadata.storage_data) < 8)


def torn_overwrite(folder: Path) -> Shown:
    """A second save to the same path dies before it commits."""

    class Dies(dcp.FileSystemWriter):
        def finish(self, metadata: Any, results: Any) -> None:
            raise KeyboardInterrupt("killed")

    dcp.save({"w": torch.ones(3), "v": torch.ones(3)}, checkpoint_id=folder)
    with contextlib.suppress(dcp.CheckpointException):
        dcp.save({"w": torch.full((3,), 2.0), "v": torch.full((3,), 2.0)}, storage_writer=Dies(folder))
    found = {"w": torch.zeros(3), "v": torch.zeros(3)}
    dcp.load(found, checkpoint_id=folder)
    return Shown(f"the old metadata loads values of the save that never was: {found['w'].tolist()}", found["w"][0] == 2)


class _Code:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch code-has-run",)


def code_on_load(folder: Path) -> Shown:
    """Somebody else's .metadata holds code."""
    dcp.save({"w": torch.ones(3)}, checkpoint_id=folder)
    metadata = dcp.FileSystemReader(folder).read_metadata()
    metadata.planner_data = _Code()
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))
    here = Path.cwd()
    os.chdir(folder)
    try:
        dcp.load({"w": torch.zeros(3)}, checkpoint_id=folder)
    finally:
        os.chdir(here)
    ran = (folder / "code-has-run").exists()
    return Shown("load ran it" if ran else "load did not run it", ran)


def missing_shard(folder: Path) -> Shown:
    """One of three safetensors shards is deleted."""
    rows = [torch.full((2, 4), n + 1.0) for n in range(3)]
    size = torch.Size((6, 4))

    class Rows(DefaultSavePlanner):
        def resolve_data(self, write_item: WriteItem) -> torch.Tensor:
            return rows[write_item.index.offset[0] // 2]

    def plan(row: int) -> SavePlan:
        offset = torch.Size((2 * row, 0))
        what = TensorWriteData(ChunkStorageMetadata(offset, torch.Size((2, 4))), TensorProperties(torch.float32), size)
        return SavePlan([WriteItem(MetadataIndex("w", offset), WriteItemType.SHARD, tensor_data=what)])

    writer = dcp.HuggingFaceStorageWriter(str(folder), save_distributed=True)  # what three ranks do with it
    for each in writer.prepare_global_plan([plan(row) for row in range(3)]):
        folder.mkdir(exist_ok=True)
        writer.write_data(each, Rows()).wait()
    sorted(folder.glob("*.safetensors"))[1].unlink()
    found = {"w": torch.full((6, 4), -1.0)}
    dcp.load(found, storage_reader=dcp.HuggingFaceStorageReader(str(folder)))
    stale = int((found["w"] == -1).all(dim=1).sum())
    return Shown(f"loaded without an error: {stale} of 6 rows keep their old values", stale > 0)


def strided_shard(folder: Path) -> Shown:
    """Two ranks save a packed gate/up weight, a half of each part on each."""
    folder.mkdir()
    command = [sys.executable, "-m", "benchmarks.dcp_defects", STRIDED, str(folder)]
    ranks = [
        subprocess.Popen([*command, str(rank)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for rank in range(2)
    ]
    said = [rank.communicate(timeout=120)[0].strip() for rank in ranks]
    return Shown(said[0] or "the ranks failed", "overlapping chunks" in said[0])


def strided_rank(folder: Path, rank: int) -> str:
    """One rank of defect 6."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor
    from torch.distributed.tensor.placement_types import _StridedShard

    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    packed = torch.arange(32.0).reshape(8, 4)  # gate is rows 0 to 3, up is rows 4 to 7
    mine = torch.cat([packed[2 * rank : 2 * rank + 2], packed[4 + 2 * rank : 6 + 2 * rank]])
    tensor = DTensor.from_local(mine, mesh, [_StridedShard(0, split_factor=2)], run_check=False, shape=(8, 4), stride=(4, 1))
    try:
        dcp.save({"w": tensor}, checkpoint_id=folder / "saved")
    except dcp.CheckpointException as error:
        reason = "overlapping chunks" if "overlapping chunks" in str(error) else str(error).strip().splitlines()[-1]
        return f"save refused it: {reason}"
    finally:
        dist.destroy_process_group()
    return "save took it"


def over_read(folder: Path) -> Shown:
    """One row of 4 KiB is loaded out of a tensor of 64 MiB."""
    dcp.save({"w": torch.ones(16 << 10, 1 << 10)}, checkpoint_id=folder)
    counted: list[int] = []

    class Counting(io.FileIO):
        def readinto(self, into: Any) -> int | None:
            count = super().readinto(into)
            counted.append(count or 0)
            return count

    class Counted(FileSystem):
        def create_stream(self, path: Any, mode: str) -> Any:
            return contextlib.closing(io.BufferedReader(Counting(str(path))))

    class Row(DefaultLoadPlanner):
        def create_local_plan(self) -> LoadPlan:
            zero, length = torch.Size((0, 0)), torch.Size((1, 1 << 10))
            index = MetadataIndex("w", zero)
            return LoadPlan([ReadItem(LoadItemType.TENSOR, index, zero, index, torch.Size((5000, 0)), length)])

    reader = dcp.FileSystemReader(folder)
    reader.fs = Counted()
    dcp.load({"w": torch.zeros(1, 1 << 10)}, storage_reader=reader, planner=Row())
    return Shown(f"read {sum(counted) / 2**20:.1f} MiB for it", sum(counted) > 8 << 20)


DEFECTS = (flipped_bit, lost_exception, torn_overwrite, code_on_load, missing_shard, strided_shard, over_read)


def show(defect: Callable[[Path], Shown]) -> Shown:
    """Let one happen in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            return defect(Path(folder) / "saved")
        finally:
            logging.disable(logging.NOTSET)


def main() -> None:
    table = Table("", "What happens", f"What torch.distributed.checkpoint of torch {torch.__version__} does", title="DCP's defects")
    for number, defect in enumerate(DEFECTS, 1):
        shown = show(defect)
        mark = "" if shown.defect else " [green](not a defect any more)"
        table.add_row(str(number), str(defect.__doc__), shown.did + mark)
    Console().print(table)


if __name__ == "__main__":
    if sys.argv[1:2] == [STRIDED]:
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        print(strided_rank(Path(sys.argv[2]), int(sys.argv[3])))
    else:
        main()
