"""Copying a state while it is in use: what is copied when, who waits, and what a change meanwhile leads to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hand_saved import Array, holding_of, items_of, object_of
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.checkpoint.files.file_layout import FileImage, lay_out
from headway.checkpoint.layout.boxes import Box, whole
from headway.checkpoint.layout.pieces import Piece
from headway.checkpoint.save.guard import StepGuard
from headway.checkpoint.save.snapshot import SLICE_BYTES, Copy, Snapshot
from headway.checkpoint.state.inventory import Holding, HostMemory
from headway.errors import SaveFailed


class Gate(HostMemory):
    """Memory that lets one read through for each permit."""

    def __init__(self, array: Array, changes: Callable[[], int] | None = None) -> None:
        super().__init__(array.reshape(-1).view("u4"), array, changes)
        self.permits = threading.Semaphore(0)
        self.reached = threading.Event()

    def read(self, piece: Piece, into: Array) -> None:
        self.reached.set()
        assert self.permits.acquire(timeout=30)
        super().read(piece, into)


class Copied:
    """A snapshot of some holdings and all that it told."""

    def __init__(self, holdings: dict[str, Holding], **options: Any) -> None:
        self.image: FileImage = lay_out([(name, each.object, whole(each.object.shape)) for name, each in holdings.items()], "id")
        self.bytes = bytearray(self.image.nbytes)
        self.marks: list[int] = []
        self.ends: list[SaveFailed | None] = []
        items = items_of(self.image, holdings)
        self.snapshot = Snapshot(
            items, memoryview(self.bytes), self.marks.append, self.ends.append, header=self.image.header, **options
        )

    def array(self, name: str, like: Array) -> Array:
        (entry,) = (entry for entry in self.image.fragments if entry.name == name)
        return np.frombuffer(self.bytes, like.dtype, like.size, entry.start).reshape(like.shape)


def gated(name: str, array: Array, changes: Callable[[], int] | None = None) -> tuple[Holding, Gate]:
    gate = Gate(array, changes)
    return Holding(name, object_of(array), (Piece(whole(array.shape), 0, _strides(array)),), gate, True), gate


def _strides(array: Array) -> tuple[int, ...]:
    return tuple(stride // array.itemsize for stride in array.strides)


def numbers(*shape: int) -> Array:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape) + 1


# --- what is copied when ---------------------------------------------------------------------------------------------


def test_what_is_not_guarded_is_copied_before_the_call_returns() -> None:
    held, gate = gated("a", numbers(3))
    array = numbers(4)
    copied = Copied({"a": held, "b": holding_of("b", array, guarded=False)})
    copied.snapshot.start()
    array += 100
    assert np.array_equal(copied.array("b", array), numbers(4))
    assert not copied.ends
    gate.permits.release()
    copied.snapshot.wait()
    assert copied.ends == [None]
    assert np.array_equal(copied.array("a", numbers(3)), numbers(3))


def test_a_state_without_guarded_tensors_is_complete_when_the_call_returns() -> None:
    copied = Copied({"b": holding_of("b", numbers(4), guarded=False)})
    copied.snapshot.start()
    assert copied.ends == [None]
    assert copied.marks == []  # the end says it all
    assert copied.snapshot.wait() == 0.0


def test_an_empty_state_is_complete_at_once() -> None:
    copied = Copied({})
    copied.snapshot.start()
    assert copied.ends == [None]
    assert bytes(copied.bytes) == copied.image.header


def test_waiting_returns_only_when_all_is_copied() -> None:
    held, gate = gated("a", numbers(3))
    copied = Copied({"a": held})
    copied.snapshot.start()
    waiting = threading.Thread(target=copied.snapshot.wait)
    waiting.start()
    assert gate.reached.wait(30)
    assert not copied.snapshot.ended
    gate.permits.release()
    waiting.join(30)
    assert copied.snapshot.ended
    assert np.array_equal(copied.array("a", numbers(3)), numbers(3))


def test_whoever_waits_helps_copying() -> None:
    stuck, gate = gated("a", numbers(3))
    copied = Copied({"a": stuck, "b": holding_of("b", numbers(5))})
    copied.snapshot.start()
    assert gate.reached.wait(30)  # the background thread is busy with "a" until the end
    threading.Timer(0, lambda: _when(lambda: bool(copied.array("b", numbers(5)).all()), gate.permits.release)).start()
    copied.snapshot.wait()
    assert copied.ends == [None]
    assert np.array_equal(copied.array("b", numbers(5)), numbers(5))


def _when(ready: Callable[[], bool], do: Callable[[], Any]) -> None:
    pause = threading.Event()
    for _ in range(10_000):
        if ready():
            do()
            return
        pause.wait(0.001)


def test_waiting_ends_the_throttle() -> None:
    copied = Copied({name: holding_of(name, numbers(8)) for name in "abc"}, bytes_per_s=1e-3)
    copied.snapshot.start()
    assert copied.snapshot.wait() < 10  # at the given speed it would take nine hours
    assert copied.ends == [None]


def test_the_watermark_never_passes_what_is_not_copied_yet() -> None:
    first, gate = gated("a", numbers(3 << 20))
    last = numbers(2 << 20)
    copied = Copied({"a": first, "b": holding_of("b", last, guarded=False)})
    copied.snapshot.start()
    assert gate.reached.wait(30)
    assert max(copied.marks, default=0) <= copied.image.fragments[0].start
    gate.permits.release()
    copied.snapshot.wait()
    assert copied.ends == [None]
    assert copied.marks == sorted(copied.marks)


def test_a_large_tensor_moves_the_watermark_while_it_is_copied() -> None:
    held, gate = gated("a", numbers(2 * SLICE_BYTES // 4))
    copied = Copied({"a": held})
    copied.snapshot.start()
    gate.permits.release()
    _when(lambda: bool(copied.marks), lambda: None)
    assert copied.marks == [copied.image.fragments[0].start + SLICE_BYTES]
    gate.permits.release()
    copied.snapshot.wait()
    assert copied.ends == [None]


def test_what_the_copy_took_is_known_at_its_end() -> None:
    copied = Copied({"a": holding_of("a", numbers(3)), "b": holding_of("b", numbers(2), guarded=False)})
    copied.snapshot.start()
    copied.snapshot.wait()
    assert [(phase.name, phase.nbytes) for phase in copied.snapshot.phases()][:2] == [("copy", 8), ("copy", 12)]


# --- slices ----------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), max_size=4).map(tuple), st.integers(1, 40), st.randoms(use_true_random=False))
def test_slices_are_all_of_an_item_in_the_order_of_its_bytes(shape: tuple[int, ...], most: int, random: Any) -> None:
    order = list(range(len(shape)))
    random.shuffle(order)
    array = numbers(*shape).transpose(order)
    item = Copy(
        holding_of("a", np.ascontiguousarray(numbers(*shape)), guarded=True), Piece(whole(array.shape), 0, _strides(array)), 64
    )
    parts = item.slices(most)
    out = np.zeros(array.size, "u4")
    at = 64
    for part in parts:
        assert part.start == at
        assert part.nbytes <= max(4, most)
        at += part.nbytes
        count = part.nbytes // 4
        item.holding.memory.read(part.piece, out[(part.start - 64) // 4 :][:count].reshape(part.piece.box.extent))
    assert np.array_equal(out.view("f4"), array.reshape(-1))


def test_a_tensor_that_is_not_contiguous_is_copied_row_major() -> None:
    array = numbers(6, 4)
    held = Holding("w", object_of(array), (Piece(Box((0, 0), (6, 4)), 0, (4, 1)),), HostMemory(array.reshape(-1).view("u4")), True)
    image = lay_out([("w", held.object, Box((1, 1), (4, 2)))], "id")
    into = bytearray(image.nbytes)
    snapshot = Snapshot([Copy(held, held.pieces[0].narrow(image.fragments[0].box), 4096)], memoryview(into), print, lambda _: None)
    snapshot.start()
    snapshot.wait()
    assert np.array_equal(np.frombuffer(into, "f4", 8, 4096).reshape(4, 2), array[1:5, 1:3])


# --- changes meanwhile -----------------------------------------------------------------------------------------------


def test_a_tensor_that_changed_while_it_was_copied_is_named() -> None:
    version = [0]
    held, gate = gated("model.w", numbers(3), lambda: version[0])
    copied = Copied({"model.w": held, "a": holding_of("a", numbers(2))})
    copied.snapshot.start()
    version[0] += 1
    gate.permits.release()
    copied.snapshot.wait()
    (error,) = copied.ends
    assert isinstance(error, SaveFailed)
    assert "model.w was changed while it was being copied" in str(error)
    assert "staged()" in str(error)


def test_a_change_that_ended_after_its_tensor_was_copied_is_seen() -> None:
    version = [0]
    stuck, gate = gated("z", numbers(3))
    copied = Copied({"a": holding_of("a", numbers(2), changes=lambda: version[0]), "z": stuck})
    copied.snapshot.start()
    assert gate.reached.wait(30)  # "a" is copied
    version[0] += 1
    gate.permits.release()
    copied.snapshot.wait()
    assert "a was changed" in str(copied.ends[0])


def test_a_change_after_the_end_does_no_harm() -> None:
    version = [0]
    copied = Copied({"a": holding_of("a", numbers(2), changes=lambda: version[0])})
    copied.snapshot.start()
    copied.snapshot.wait()
    version[0] += 1
    assert copied.snapshot.wait() == 0.0
    assert copied.ends == [None]


def zero_all(array: Array) -> None:
    array[:] = 0


def scale_all(array: Array) -> None:
    array *= 1.5


def set_some_rows(array: Array) -> None:
    array[100:110] = 7


def set_one(array: Array) -> None:
    array.reshape(-1)[1] = 77


@pytest.mark.parametrize("change", [zero_all, scale_all, set_some_rows])
def test_a_change_of_much_that_no_version_shows_is_seen(change: Callable[[Array], None]) -> None:
    for phase in (0, 1, 12345):
        array = numbers(300, 100)
        held, gate = gated("model.w", array)
        copied = Copied({"model.w": held}, phase=phase)
        copied.snapshot.start()
        change(array)
        gate.permits.release()
        copied.snapshot.wait()
        assert "model.w was changed while it was being copied, unseen by its version" in str(copied.ends[0])


@pytest.mark.parametrize(("size", "debug"), [(4000, False), (100_000, False), (100_000, True)])
def test_a_changed_element_that_no_version_shows_is_seen_if_small_or_in_debug_mode(size: int, debug: bool) -> None:
    array = numbers(size)
    held, gate = gated("model.w", array)
    copied = Copied({"model.w": held}, debug=debug)
    if debug:
        gate.permits.release()  # for the hash before
    copied.snapshot.start()
    set_one(array)
    gate.permits.release()
    copied.snapshot.wait()
    if size == 4000 or debug:
        assert "model.w was changed while it was being copied, unseen by its version" in str(copied.ends[0])
    else:
        assert copied.ends == [None]


def test_an_unchanged_state_passes_debug_mode() -> None:
    arrays = {"a": numbers(3, 5), "empty": numbers(0, 2), "scalar": np.asarray(3, np.int64)}
    copied = Copied({name: holding_of(name, array) for name, array in arrays.items()}, debug=True)
    copied.snapshot.start()
    copied.snapshot.wait()
    assert copied.ends == [None]


class Broken(HostMemory):
    def read(self, piece: Piece, into: Array) -> None:
        raise RuntimeError("device lost")


@pytest.mark.parametrize("guarded", [False, True])
def test_memory_that_cannot_be_read_fails_the_save_and_not_the_caller(guarded: bool) -> None:
    held = holding_of("model.w", numbers(3), guarded=guarded)
    held.memory = Broken(numbers(3).view("u4"))
    copied = Copied({"model.w": held, "a": holding_of("a", numbers(2))})
    copied.snapshot.start()
    copied.snapshot.wait()
    assert "model.w[0:3] could not be copied: RuntimeError: device lost" in str(copied.ends[0])
    assert len(copied.ends) == 1


def test_an_abandoned_snapshot_ends_when_nobody_copies_any_more() -> None:
    held, gate = gated("a", numbers(3))
    copied = Copied({"a": held, "b": holding_of("b", numbers(5))})
    copied.snapshot.start()
    assert gate.reached.wait(30)
    copied.snapshot.abandon("the run ends")
    assert not copied.ends  # the slice of "a" is still being written to the image
    gate.permits.release()
    copied.snapshot.wait()
    assert str(copied.ends[0]) == "the run ends"
    assert not copied.array("b", numbers(5)).any()


# --- the guard of optimizer steps ------------------------------------------------------------------------------------


def test_an_optimizer_step_waits_for_the_copy() -> None:
    import torch

    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    parameter.grad = torch.ones(3)
    held, gate = gated("w", parameter.detach().numpy(), lambda: parameter._version)
    guard, copied = StepGuard(), Copied({"w": held})
    copied.snapshot.start()
    guard.watch(copied.snapshot)
    threading.Timer(0, lambda: _when(lambda: copied.snapshot._hurry.is_set(), gate.permits.release)).start()
    optimizer.step()
    assert copied.ends == [None]
    assert np.array_equal(copied.array("w", numbers(3)), [1, 1, 1])
    assert parameter.tolist() == [0, 0, 0]
    assert guard.waited_s > 0
    guard.close()


def test_without_the_guard_the_same_step_tears_the_copy() -> None:
    import torch

    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    parameter.grad = torch.ones(3)
    held, gate = gated("w", parameter.detach().numpy(), lambda: parameter._version)
    copied = Copied({"w": held})
    copied.snapshot.start()
    optimizer.step()
    gate.permits.release()
    copied.snapshot.wait()
    assert "w was changed" in str(copied.ends[0])


def test_a_closed_guard_leaves_optimizers_alone() -> None:
    import torch
    from torch.optim.optimizer import _global_optimizer_pre_hooks

    before = len(_global_optimizer_pre_hooks)
    guard, copied = StepGuard(), Copied({"a": holding_of("a", numbers(2))})
    copied.snapshot.start()
    guard.watch(copied.snapshot)
    assert len(_global_optimizer_pre_hooks) == before + 1
    guard.close()
    assert len(_global_optimizer_pre_hooks) == before
    assert copied.snapshot.ended
    parameter = torch.nn.Parameter(torch.ones(1))
    torch.optim.SGD([parameter]).step()


def test_guarding_by_hand_waits_for_all_and_forgets_them() -> None:
    guard = StepGuard()
    all_copied = [Copied({"a": holding_of("a", numbers(1 << 18))}) for _ in range(3)]
    for copied in all_copied:
        copied.snapshot.start()
        guard.watch(copied.snapshot)
    guard.wait()
    assert [copied.ends for copied in all_copied] == [[None]] * 3
    assert guard.wait() == 0.0
    guard.close()
