"""What an object store can suffer: errors, lost answers, silence, buckets that are not there."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from backend_files import DATA, MIB, load, names, pages, store
from objectstores import BUCKET, BadWay, Fault
from roots import commit, data_file

from headway.checkpoint.catalog.collect import collect
from headway.checkpoint.catalog.leases import open_leased
from headway.checkpoint.catalog.listing import flaw, manifests
from headway.checkpoint.catalog.retention import Keep
from headway.errors import CheckpointConflict, CheckpointDamaged, CheckpointError, NoCheckpoint, UsageError
from headway.storage.objects import ObjectBackend
from headway.storage.opening import open_backend
from headway.storage.upload import Upload


def test_a_store_that_fails_now_and_then_is_asked_again(way: BadWay, shaky: ObjectBackend) -> None:
    way.faults = lambda method, path, number: "500" if number % 2 else ""
    shaky.put("HEAD", b"one")
    assert shaky.swap("HEAD", b"two", b"one")
    assert shaky.get("HEAD") == b"two"
    assert names(shaky) == ["HEAD"]
    shaky.delete(["HEAD"])
    assert shaky.stat("HEAD") is None


@pytest.mark.parametrize("fault", ["500", "reset", "hang"])
def test_a_store_that_always_fails_is_an_error_that_names_the_file(way: BadWay, hasty: ObjectBackend, fault: str) -> None:
    way.faults = lambda *_: fault  # type: ignore[return-value]
    operations = [
        lambda: hasty.get("HEAD"),
        lambda: hasty.put("HEAD", b"x"),
        lambda: load(hasty, "HEAD", 0, 4),
    ]
    for operation in operations:
        with pytest.raises(CheckpointError, match=f"s3://{BUCKET}/.*/HEAD.*tried for 0.6 s") as caught:
            operation()
        assert not isinstance(caught.value, NoCheckpoint | CheckpointDamaged)


def test_an_upload_to_a_store_that_fails_ends_with_an_error(way: BadWay, hasty: ObjectBackend) -> None:
    way.faults = lambda method, path, number: "500" if "partNumber=2" in path else ""
    with pytest.raises(CheckpointError, match=r"could not write .*00000\.safetensors"):
        store(hasty, DATA, pages(40 * MIB))
    way.faults = lambda *_: ""
    assert hasty.stat(DATA) is None


def test_an_upload_to_a_store_that_hangs_ends_with_an_error(way: BadWay, hasty: ObjectBackend) -> None:
    way.faults = lambda method, path, number: "hang" if "partNumber" in path else ""
    with pytest.raises(CheckpointError, match=r"00000\.safetensors"):
        store(hasty, DATA, pages(80 * MIB), 8 * MIB)


def test_a_put_whose_answer_got_lost_succeeded(way: BadWay, shaky: ObjectBackend) -> None:
    way.faults = lambda method, path, number: "lose" if number == 1 else ""
    shaky.put("steps/x/manifest.json", b"mine")
    assert [method for method, _ in way.requests].count("PUT") == 2
    with pytest.raises(CheckpointConflict):
        shaky.put("steps/x/manifest.json", b"mine")


def test_a_swap_whose_answer_got_lost_succeeded(way: BadWay, shaky: ObjectBackend) -> None:
    shaky.put("HEAD", b"one")
    lost = iter([True])
    way.faults = lambda method, path, number: "lose" if method == "PUT" and next(lost, False) else ""
    assert shaky.swap("HEAD", b"two", b"one")
    assert not shaky.swap("HEAD", b"two", b"one")


def test_a_put_that_got_no_answer_in_time_is_asked_again(way: BadWay, tmp_path: Path) -> None:
    root = ObjectBackend(f"s3://{BUCKET}/{tmp_path.name}", deadline_s=20.0, request_s=0.5)
    way.faults = lambda method, path, number: "hang" if number == 1 else ""
    root.put("HEAD", b"one")
    assert root.get("HEAD") == b"one"


def test_a_swap_that_was_overtaken_does_not_overwrite(way: BadWay, shaky: ObjectBackend, s3: int) -> None:
    shaky.put("HEAD", b"one")

    def overtake(method: str, path: str, number: int) -> Fault:
        if method == "PUT":
            way.faults = lambda *_: ""
            assert shaky.swap("HEAD", b"two", b"one")
        return ""

    way.faults = overtake
    assert not shaky.swap("HEAD", b"three", b"one")
    assert shaky.get("HEAD") == b"two"


def test_an_upload_whose_last_answer_got_lost_succeeded(way: BadWay, shaky: ObjectBackend) -> None:
    done: list[bool] = []

    def lose(method: str, path: str, number: int) -> Fault:
        if method != "POST" or "uploadId" not in path:
            return ""
        done.append(True)
        return "lose" if len(done) == 1 else "404"  # there is no such upload any more

    way.faults = lose
    writer = shaky.create(DATA, 9 * MIB)
    writer.write(pages(9 * MIB))
    writer.finish()
    assert len(done) > 1
    assert names(shaky) == [DATA]


class Stuck:
    """A store that takes one part and then nothing."""

    url = "s3://stuck"

    def __init__(self) -> None:
        self.over = threading.Event()

    def put(self, file: str, data: bytes) -> None:
        raise AssertionError

    def stat(self, file: str) -> None:
        return None

    def put_stream(self, file: str, parts: Iterator[bytearray], part_nbytes: int, concurrent: int) -> None:
        next(parts)
        self.over.wait()


def test_an_upload_without_progress_is_given_up() -> None:
    stuck = Stuck()
    writer = Upload(stuck, "data", 80 * MIB, stall_s=0.2)
    with pytest.raises(CheckpointError, match=r"s3://stuck/data: the store took no data for 0.2 s"):
        writer.write(pages(80 * MIB))
    stuck.over.set()
    writer.abort()


def test_an_answer_that_breaks_off_is_asked_for_again(way: BadWay, shaky: ObjectBackend) -> None:
    shaky.put("steps/x/data", bytes(pages(MIB)))
    cuts = iter([True, True])
    way.faults = lambda method, path, number: "cut" if next(cuts, False) else ""
    assert load(shaky, "steps/x/data", 0, MIB) == bytes(pages(MIB))


def test_a_bucket_that_is_not_there_is_an_error_at_once(s3: int) -> None:
    root = ObjectBackend("s3://no-such-bucket/x")
    begin = time.monotonic()
    with pytest.raises(CheckpointError, match="no-such-bucket"):
        root.put("HEAD", b"x")
    with pytest.raises(CheckpointError, match="no-such-bucket"):
        store(root, DATA, pages(9 * MIB))
    assert time.monotonic() - begin < 60


def test_what_is_no_store_is_said_at_once() -> None:
    with pytest.raises(UsageError, match="ftp://somewhere/x cannot be opened"):
        open_backend("ftp://somewhere/x")


UPLOADER = """
import resource, sys
from headway.storage.objects import ObjectBackend
from headway.storage.upload import Upload
root = ObjectBackend(sys.argv[1])
root.put("small", b"x")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
writer = root.create("data", 256 << 20)
chunk = memoryview(bytearray(8 << 20))
for _ in range(32):
    writer.write(chunk)
writer.finish()
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_a_root_in_an_object_store_is_collected_around_its_readers(s3: int, tmp_path: Path) -> None:
    root = open_backend(f"s3://{BUCKET}/{tmp_path.name}-collected")
    commit(root, "id10", 10)
    commit(root, "id20", 20, uses=[data_file("id10", 10)])
    commit(root, "id30", 30)
    with open_leased(root, 20) as (manifest, lease):
        assert [each.id for each in collect(root, Keep(last=1)).removed] == ["id10"]
        assert flaw(root, manifest) == ""
        lease.renew()
    collect(root, Keep(last=1), now=4e9)  # this store dates to the second
    assert [each.id for each in manifests(root).checkpoints] == ["id30"]
    assert {file.split("/")[1] for file in names(root, "steps")} == {"000000000030-id30"}


@pytest.mark.long
def test_a_large_upload_needs_little_memory(s3: int, tmp_path: Path) -> None:
    command = [sys.executable, "-c", UPLOADER, f"s3://{BUCKET}/{tmp_path.name}-large"]
    grown_mib = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert grown_mib < 128
