"""Blobs: durable before anything names them, never written again, and handed out as memory of the caller's own."""

import hashlib
import subprocess
import sys

import pytest

from headway.errors import StoreDamaged


def digest_of(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


@pytest.mark.parametrize("size", [0, 1, 1000, 300_000])
def test_a_blob_comes_back_as_memory_of_the_callers_own(store, size):
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    store.put_blob(digest_of(data), memoryview(data))
    store.put_blob(digest_of(data), bytearray(data))
    got, beside = store.get_blob(digest_of(data)), store.get_blob(digest_of(data))
    assert bytes(got) == data
    assert not got.readonly
    if size:
        got[0] = got[0] ^ 0xFF
    assert bytes(beside) == data
    assert bytes(store.get_blob(digest_of(data))) == data


@pytest.mark.parametrize("size", [10, 300_000])
def test_what_a_caller_does_to_its_buffer_after_a_put_does_not_reach_the_store(store, size):
    mine = bytearray(b"x" * size)
    store.put_blob(digest_of(b"x" * size), mine)
    mine[0] = 0
    mine.clear()  # and the store holds on to no part of it
    assert bytes(store.get_blob(digest_of(b"x" * size))) == b"x" * size


def test_a_blob_of_another_shape_is_stored_as_its_bytes(store):
    data = memoryview(bytes(range(24))).cast("B", [2, 3, 4])
    store.put_blob(digest_of(data.tobytes()), data)
    assert bytes(store.get_blob(digest_of(data.tobytes()))) == data.tobytes()


def test_a_blob_of_larger_items_is_stored_as_its_bytes(store):
    data = memoryview(bytes(range(24))).cast("I")
    store.put_blob(digest_of(data.tobytes()), data)
    assert bytes(store.get_blob(digest_of(data.tobytes()))) == data.tobytes()


def test_a_missing_blob_is_damage_and_is_named(store):
    with pytest.raises(StoreDamaged, match=f"blob {'ab' * 16} is missing"):
        store.get_blob(b"\xab" * 16)


def test_a_blob_with_other_bytes_is_never_returned(store):
    store.put_blob(digest_of(b"right"), b"wrong")
    with pytest.raises(StoreDamaged, match="is damaged"):
        store.get_blob(digest_of(b"right"))


@pytest.mark.parametrize("size", [10, 300_000])
def test_a_blob_that_exists_is_never_written_again(subject, tmp_path, size):
    right = b"r" * size
    store = subject.make(tmp_path / "store")
    store.put_blob(digest_of(right), right)
    reader = store.get_blob(digest_of(right))
    store.put_blob(digest_of(right), b"w" * size)
    store = subject.reopen(store)
    store.put_blob(digest_of(right), b"w" * size)
    assert bytes(store.get_blob(digest_of(right))) == bytes(reader) == right
    store.close()


def test_a_blob_is_found_when_the_store_is_opened_again(subject, tmp_path):
    store = subject.make(tmp_path / "store")
    store.put_blob(digest_of(b"kept"), b"kept")
    store = subject.reopen(store)
    assert bytes(store.get_blob(digest_of(b"kept"))) == b"kept"
    store.close()


KILLED = """
import os, signal, sys, hashlib
from headway.journal.open import open_store
store = open_store(sys.argv[1])
for number in range(3):
    data = bytes([number]) * 300_000
    store.put_blob(hashlib.blake2b(data, digest_size=16).digest(), data)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_blob_that_was_put_outlives_the_process_that_put_it(url, opened):
    assert subprocess.run([sys.executable, "-c", KILLED, url]).returncode == -9
    store = opened()
    for number in range(3):
        data = bytes([number]) * 300_000
        assert bytes(store.get_blob(digest_of(data))) == data
