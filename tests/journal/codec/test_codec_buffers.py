"""Arrays, tensors and large buffers: out of band, copied or not, and with their type and shape."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from coded import there_and_back

from headway.errors import NotEncodable
from headway.journal.codec.codec import OUT_OF_BAND, decode, digest, encode, value_digest


@pytest.mark.parametrize("kind", [bytes, bytearray, lambda b: np.frombuffer(b, np.uint8).copy(), memoryview])
def test_large_buffers_go_out_of_band_and_come_back(kind):
    value = kind(bytes(range(256)) * 64)
    head, buffers = encode([value, 1])
    assert len(head) < 100
    assert [memoryview(part).nbytes for part in buffers] == [OUT_OF_BAND]
    back = decode(head, buffers)[0]
    assert type(back) is type(value)
    assert bytes(back) == bytes(value)
    assert encode(kind(b"x" * 100)).buffers == ()


def test_buffers_may_be_fetched_one_by_one():
    head, buffers = encode({"a": b"a" * OUT_OF_BAND, "b": b"b" * OUT_OF_BAND})
    fetched = []

    def fetch(number):
        fetched.append(number)
        return memoryview(buffers[number])

    assert decode(head, fetch) == {"a": b"a" * OUT_OF_BAND, "b": b"b" * OUT_OF_BAND}
    assert fetched == [0, 1]


@pytest.mark.parametrize("size", [10, OUT_OF_BAND])
@pytest.mark.parametrize("kind", [bytearray, lambda b: np.frombuffer(b, np.uint8).copy(), lambda b: memoryview(bytearray(b))])
def test_what_is_changed_after_encoding_does_not_reach_the_record(kind, size):
    value = kind(bytes(size))
    head, buffers = encode(value)
    value[:] = bytes(b"\1" * size) if isinstance(value, (bytearray, memoryview)) else 1
    assert not any(bytes(decode(head, buffers)))


def test_without_a_copy_a_buffer_is_the_memory_of_the_value():
    value = np.zeros(OUT_OF_BAND, np.uint8)
    head, buffers = encode(value, copy=False)
    value[:] = 1
    assert decode(head, buffers).all()


def test_a_decoded_array_is_writable_and_uses_writable_memory_as_it_is():
    head, buffers = encode(np.zeros(5000))
    private = memoryview(bytearray(buffers[0]))
    back = decode(head, [private])
    back[0] = 1.0
    assert any(private[:8])
    for again in (decode(head, [bytes(buffers[0])]), there_and_back(np.zeros(3))):
        again[0] = 1.0


def test_a_digest_names_content_and_a_value_digest_covers_its_buffers():
    assert digest(b"a") == digest(bytearray(b"a")) == digest(memoryview(b"a"))
    assert len({digest(b"a"), digest(b"b"), value_digest(b"a", [digest(b"b")]), value_digest(b"a", [digest(b"c")])}) == 4
    assert value_digest(b"a", [b"x" * 16]) != value_digest(b"a" + b"x" * 16)


STRUCTURED = np.dtype([("id", "<i4"), ("at", "<f8", (2,)), ("in", [("a", "u1"), ("b", "S3")])])


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6).reshape(2, 3), np.arange(6, dtype=">i2"), np.float32(1.5) * np.ones((2, 2)), np.array(5), np.zeros((0, 3)),
        np.array([True, False]), np.array([b"a"]), np.array(["2020-01-01"], "M8[D]"), np.array([3], "m8[ns]"),
        np.zeros(2, STRUCTURED), np.zeros(2, np.dtype([("a", "u1"), ("b", "f8")], align=True)), np.array([1 + 2j]),
        np.array(["", "bcd"]),
        np.asfortranarray(np.arange(6).reshape(2, 3)), np.arange(10)[::3], np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1),
        np.array([np.nan, -0.0]), np.arange(30000), np.asfortranarray(np.ones((300, 300))), np.zeros(3, np.float16),
        np.broadcast_to(np.arange(3), (4, 3)),
    ],
    ids=lambda v: f"{v.dtype} {v.shape}",
)  # fmt: skip
def test_an_array_comes_back_with_its_dtype_and_shape(value):
    back = there_and_back(value)
    assert type(back) is np.ndarray
    assert (back.dtype, back.shape) == (value.dtype, value.shape)
    assert back.tobytes() == value.tobytes() or back.tolist() == value.tolist()
    assert back.flags.writeable


def test_the_gaps_between_fields_do_not_reach_the_record():
    inner = np.dtype([("a", "u1"), ("b", "f8")], align=True)  # 9 bytes of 16
    nested = np.dtype([("first", inner), ("pair", inner, (2,)), ("last", "u2")], align=True)  # 29 of 56
    for dtype, used in ((inner, 9), (nested, 29)):
        value = np.frombuffer(b"\xff" * 2 * dtype.itemsize, dtype)
        assert encode(value).head.count(b"\xff") == 2 * used
        assert encode(value[0]).head.count(b"\xff") == used
        assert there_and_back(value).tobytes().count(b"\xff") == 2 * used
    assert there_and_back(value)["pair"]["a"].tolist() == [[255, 255]] * 2


def test_fortran_order_is_kept():
    assert there_and_back(np.asfortranarray(np.ones((3, 4)))).flags.f_contiguous


@pytest.mark.parametrize(
    "value",
    [np.float32(1.5), np.int64(3), np.bool_(True), np.datetime64("2020-01-01"), np.str_("ab"), np.str_(""), np.bytes_(b"a"),
     np.complex64(1j), np.float16(2), np.zeros(1, STRUCTURED)[0]],
    ids=repr,
)  # fmt: skip
def test_a_numpy_number_comes_back_as_its_own_type(value):
    back = there_and_back(value)
    assert type(back) is type(value)
    assert back.dtype == value.dtype
    assert back == value


@pytest.mark.parametrize(
    "dtype", ["float32", "bfloat16", "float16", "int64", "uint8", "bool", "complex64", "float8_e4m3fn", "float8_e5m2"]
)
@pytest.mark.parametrize("shape", [(2, 3), (), (0, 4), (200, 200)])
def test_a_tensor_comes_back_with_its_dtype_and_shape(dtype, shape):
    value = (torch.rand(shape) * 4).to(getattr(torch, dtype))
    back = there_and_back(value)
    assert type(back) is torch.Tensor
    assert (back.dtype, back.shape) == (value.dtype, value.shape)
    assert same_bytes(back, value)
    assert same_bytes(there_and_back(value.T.contiguous().T if len(shape) == 2 else value), value)


def same_bytes(a, b):
    return a.contiguous().reshape(-1).view(torch.uint8).tolist() == b.contiguous().reshape(-1).view(torch.uint8).tolist()


def test_a_parameter_comes_back_as_one_and_a_later_step_does_not_reach_the_record():
    value = torch.nn.Parameter(torch.zeros(10_000))
    head, buffers = encode({"w": value})
    with torch.no_grad():
        value += 1
    back = decode(head, buffers)["w"]
    assert isinstance(back, torch.nn.Parameter)
    assert back.requires_grad
    assert not back.any()


def test_a_sparse_tensor_is_refused():
    with pytest.raises(NotEncodable, match="sparse"):
        encode(torch.eye(3).to_sparse())


def test_the_codec_imports_no_optional_library():
    code = (
        "import sys; from headway.journal.codec.codec import *; decode(*encode([1, (2,), {3}]))\n"
        "from headway.engine.identity.keys import *; import headway.engine.tasks.fingerprint\n"
        "print([m for m in ('numpy', 'torch', 'pydantic') if m in sys.modules])"
    )
    env = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=env).stdout
    assert out.strip() == b"[]"
