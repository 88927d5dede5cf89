"""Blobs on disk: written whole or not at all, never written twice, never returned with other bytes."""

import errno
import hashlib
import resource
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.errors import StoreDamaged, StoreError, StoreFull
from headway.storage.blobs import MAPPED_FROM_BYTES, BlobFolder, hash_blob


@pytest.fixture
def blobs(tmp_path: Path) -> BlobFolder:
    return BlobFolder(tmp_path / "blobs")


def files(blobs: BlobFolder) -> list[Path]:
    return [file for file in blobs.root.rglob("*") if file.is_file() and file.name != ".lock"]


def test_the_name_of_a_blob_is_its_hash(blobs):
    digest = hash_blob(b"data")
    assert digest == hashlib.blake2b(b"data", digest_size=16).digest()
    blobs.put(digest, b"data")
    assert files(blobs) == [blobs.root / digest.hex()[:2] / digest.hex()[2:]]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=5000))
def test_any_bytes_come_back(blobs, data):
    blobs.put(hash_blob(data), data)
    assert bytes(blobs.get(hash_blob(data))) == data


def test_a_mapped_blob_is_private_to_its_reader(blobs):
    data = bytes(MAPPED_FROM_BYTES)
    blobs.put(hash_blob(data), data)
    first, second = blobs.get(hash_blob(data)), blobs.get(hash_blob(data))
    first[:4] = b"mine"
    assert bytes(second) == data
    assert bytes(blobs.get(hash_blob(data))) == data


def test_a_blob_that_exists_is_not_written_again(blobs):
    blobs.put(hash_blob(b"data"), b"data")
    (path,) = files(blobs)
    number = path.stat().st_ino
    blobs.put(hash_blob(b"data"), b"data")
    assert path.stat().st_ino == number


def test_a_torn_blob_is_healed_by_the_next_writer(blobs):
    blobs.put(hash_blob(b"data"), b"data")
    (path,) = files(blobs)
    path.write_bytes(b"da")
    with pytest.raises(StoreDamaged, match="is damaged"):
        blobs.get(hash_blob(b"data"))
    blobs.put(hash_blob(b"data"), b"data")
    assert bytes(blobs.get(hash_blob(b"data"))) == b"data"


def test_an_empty_file_under_the_name_of_a_blob_is_damage(blobs):
    blobs.put(hash_blob(b""), b"")
    assert bytes(blobs.get(hash_blob(b""))) == b""
    blobs.put(hash_blob(b"data"), b"data")
    blobs.path(hash_blob(b"data")).write_bytes(b"")
    with pytest.raises(StoreDamaged, match=hash_blob(b"data").hex()):
        blobs.get(hash_blob(b"data"))


@pytest.mark.parametrize("size", [100, MAPPED_FROM_BYTES + 1])
@pytest.mark.parametrize("place", [0, -1])
def test_one_flipped_bit_is_noticed_and_the_path_is_named(blobs, size, place):
    data = bytearray(size)
    digest = hash_blob(data)
    blobs.put(digest, data)
    data[place] ^= 1
    blobs.path(digest).write_bytes(data)
    with pytest.raises(StoreDamaged, match=f"{blobs.path(digest)} has other bytes"):
        blobs.get(digest)


def test_a_full_disk_leaves_nothing_and_the_next_write_works(blobs):
    data = bytes(100_000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(StoreFull, match=r"100000 bytes.*free some space") as caught:
            blobs.put(hash_blob(data), data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.errno == errno.EFBIG
    assert files(blobs) == []
    blobs.put(hash_blob(data), data)
    assert len(files(blobs)) == 1


def test_a_folder_where_a_blob_should_be_is_an_error_not_a_blob(blobs):
    blobs.path(hash_blob(b"data")).mkdir(parents=True)
    with pytest.raises(StoreError):
        blobs.get(hash_blob(b"data"))


def test_many_threads_may_write_one_blob(blobs):
    data = bytes(50_000)
    threads = [threading.Thread(target=blobs.put, args=(hash_blob(data), data)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(files(blobs)) == 1
    assert bytes(blobs.get(hash_blob(data))) == data
