"""Loading in processes of its own: how much memory it takes, and what two ranks share. And what its threads do for it."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from synthetic import make

from headway.checkpoint.layout.boxes import whole
from headway.checkpoint.load.reading import each


def test_of_several_failures_the_first_item_s_is_raised() -> None:
    """Whichever thread was faster: here the first item fails last."""
    both, later = threading.Barrier(2), threading.Event()

    def fail(item: int) -> None:
        both.wait(timeout=60)
        if item == 0:
            assert later.wait(timeout=60)
        later.set()
        raise ValueError(item)

    for _ in range(20):
        later.clear()
        with pytest.raises(ValueError, match="0"):
            each([0, 1], fail, 2)


def test_each_item_is_done_once_and_the_first_failure_is_raised_when_no_thread_runs() -> None:
    done: list[int] = []
    each(range(1000), done.append, 4)
    assert sorted(done) == list(range(1000))
    done.clear()

    def until_seven(item: int) -> None:
        if item == 7:
            raise StopIteration("seven")
        done.append(item)

    with pytest.raises(StopIteration, match="seven"):
        each(range(10**6), until_seven, 4)
    assert len(done) < 10**6 - 1


HELPERS = [str(folder) for folder in Path(__file__).parents[:2]]
_LOAD_AND_MEASURE = """
import resource, sys, threading
from pathlib import Path
import numpy as np
sys.path[:0] = {helpers!r}
from synthetic import inventory
from headway.storage.local import LocalBackend
from headway.checkpoint.load.loader import load
from headway.checkpoint.files.stored import read_manifest, read_segments
from loading import WithoutPaths
backend = {kind}({root!r})
manifest = read_manifest(backend, {folder!r})
arrays = {{name: np.full(known.shape, 1, "f4") for name, known in manifest.objects.items()}}
views = {{name: array.T if array.shape[0] == array.shape[1] else array for name, array in arrays.items()}}
segments = read_segments(backend, manifest)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
load(backend, manifest, segments, inventory(views))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
assert all((array != 1).any() for array in arrays.values())
"""


@pytest.mark.long
@pytest.mark.parametrize("kind", ["LocalBackend", "WithoutPaths"])
def test_memory_above_a_state_of_512_mib_stays_below_256_mib(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    arrays = {f"w{n}": rng.standard_normal((4096, 4096) if n % 2 else (16384, 1024), "f4") for n in range(8)}
    made = make(tmp_path, arrays, {name: [(n % 2, whole(array.shape))] for n, (name, array) in enumerate(arrays.items())})
    code = _LOAD_AND_MEASURE.format(helpers=HELPERS, kind=kind, root=str(tmp_path), folder=made.manifest.folder)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) < 256 << 10  # KiB


_TWO_RANKS = """
import sys
from pathlib import Path
import numpy as np
import torch.distributed as dist
sys.path[:0] = {helpers!r}
from synthetic import inventory, same
from headway.storage.local import LocalBackend
from headway.checkpoint.load.loader import load
from headway.checkpoint.process.ranks import TorchRanks
from headway.checkpoint.files.stored import read_manifest, read_segments
from loading import WithoutPaths
dist.init_process_group("gloo", init_method="file://{meet}", rank=int(sys.argv[1]), world_size=2)
backend = {kind}({root!r})
manifest = read_manifest(backend, {folder!r})
arrays = {{name: np.zeros(known.shape, "f4") for name, known in manifest.objects.items()}}
try:
    loaded = load(backend, manifest, read_segments(backend, manifest), inventory(arrays), ranks=TorchRanks())
    print(loaded.bytes_read, loaded.bytes_filled, *(int(array.sum()) for array in arrays.values()))
except Exception as error:
    print(type(error).__name__, error)
dist.destroy_process_group()
"""


@pytest.mark.long
@pytest.mark.parametrize("kind", ["LocalBackend", "WithoutPaths"])
def test_two_processes_share_what_is_read_and_fail_together(tmp_path: Path, kind: str) -> None:
    arrays = {f"w{n}": np.full((1024, 1024), n, "f4") for n in range(6)}
    made = make(tmp_path, arrays)
    files = {"helpers": HELPERS, "kind": kind, "root": str(tmp_path), "folder": made.manifest.folder}

    def both(meet: str) -> list[str]:
        code = _TWO_RANKS.format(meet=tmp_path / meet, **files)
        running = [
            subprocess.Popen([sys.executable, "-c", code, str(rank)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for rank in range(2)
        ]
        said = [each_one.communicate(timeout=120) for each_one in running]
        assert [each_one.returncode for each_one in running] == [0, 0], said
        return [out.strip() for out, _ in said]

    total = made.manifest.nbytes
    assert both("first") == [f"{total // 2} {total} " + " ".join(str(n << 20) for n in range(6))] * 2
    made.flip(0, made.segments[0].nbytes - 1)
    told = both("second")
    assert [each_one.split(" ", 1)[0] for each_one in told] == ["CheckpointDamaged"] * 2
    assert told[0].startswith("CheckpointDamaged rank 1: ")
    assert "tensor w5: block 0" in told[1]
