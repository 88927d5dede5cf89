"""Loading: bit-equal under any fragmentation, nothing changes before all is verified, and damage is named wherever it is."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loading import WithoutPaths, blank, fill
from synthetic import (
    Array,
    Synthetic,
    ThreadRanks,
    blocks_of,
    flip,
    holding,
    inventory,
    make,
    needed_nbytes,
    on_ranks,
    random_array,
    random_cuts,
    same,
    slices,
)

from headway.checkpoint.files.manifest import Fragment, Object, Phase, block_nbytes
from headway.checkpoint.files.stored import read_manifest, read_segments
from headway.checkpoint.layout.boxes import Box
from headway.checkpoint.layout.dtypes import NBYTES, code_of, raw_dtype
from headway.checkpoint.layout.pieces import Piece
from headway.checkpoint.load.loader import Loaded, load
from headway.checkpoint.load.plan import Read
from headway.checkpoint.load.reading import LocalFiles
from headway.checkpoint.load.verify import verify
from headway.checkpoint.state.inventory import Holding, HostMemory, Inventory
from headway.errors import CheckpointDamaged, CheckpointMismatch, NoCheckpoint
from headway.storage.local import LocalBackend
from headway.storage.opening import open_backend

CODES = sorted(NBYTES)


@pytest.mark.parametrize("kind", [LocalBackend, WithoutPaths])
def test_a_state_comes_back_to_the_last_bit(made: Synthetic, kind: type[LocalBackend]) -> None:
    arrays, got = blank(made), []
    state = inventory(arrays, values={"lr": 0.0}, accept=got.append)
    loaded = load(kind(made.root), made.manifest, made.segments, state)
    assert all(same(arrays[name], array) for name, array in made.arrays.items())
    assert got == [{"lr": 0.1, "name": "tiny"}]
    assert loaded.bytes_read == loaded.bytes_filled == made.manifest.nbytes


def test_a_state_comes_back_from_an_object_store(made: Synthetic, tmp_path: Path) -> None:
    """From obstore's own, in memory; two ranks of one host fetch each byte once between them."""
    store = open_backend(f"memory://{tmp_path}")
    for path in sorted(made.root.rglob("*.*")):
        store.put(str(path.relative_to(made.root)), path.read_bytes())
    manifest = read_manifest(store, made.manifest.folder)
    segments = read_segments(store, manifest)
    states = [blank(made), blank(made)]
    results = on_ranks(["a", "a"], lambda ranks: load(store, manifest, segments, inventory(states[ranks.rank]), ranks=ranks))
    assert sum(result.bytes_read for result in results) == manifest.nbytes
    assert all(same(state[name], array) for state in states for name, array in made.arrays.items())
    store.delete([segments[1].file])
    with pytest.raises(CheckpointDamaged, match=r"tensor big: block 0 in steps/\S*/00001.safetensors, .*can't be read"):
        load(store, manifest, segments, inventory(states[0]))


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_fragments_load_into_any_boxes_on_any_ranks(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Random element types, shapes and cuts; each rank wants random boxes of each array, in memory of random strides."""
    rng = data.draw(st.randoms())
    arrays, cuts = {}, {}
    for n in range(data.draw(st.integers(1, 4))):
        shape = data.draw(st.lists(st.integers(0, 6), max_size=3).map(tuple))
        arrays[f"w{n}"] = random_array(shape, data.draw(st.sampled_from(CODES)), n)
        cuts[f"w{n}"] = [(rng.randrange(3), box) for box in random_cuts(shape, 4, rng)]
    hosts = data.draw(st.lists(st.sampled_from("ab"), min_size=1, max_size=3))
    states = [{name: _parts(array, rng) for name, array in arrays.items()} for _ in hosts]
    with blocks_of(data.draw(st.sampled_from([16, 48, 4 << 20]))):
        made = make(tmp_path_factory.mktemp("any"), arrays, cuts)
        backend = data.draw(st.sampled_from([LocalBackend, WithoutPaths]))(made.root)

        def one(ranks: ThreadRanks) -> Loaded:
            holdings = [_holding(name, arrays[name], parts) for name, parts in states[ranks.rank].items()]
            return load(backend, made.manifest, made.segments, Inventory(holdings), ranks=ranks)

        results = on_ranks(hosts, one)
        for state in states:
            for name, parts in state.items():
                for box, _, view in parts:
                    assert same(np.asarray(view), np.asarray(arrays[name][slices(box)])), (name, box, results)
        for host in set(hosts):
            masks = {name: np.zeros(array.shape, bool) for name, array in arrays.items()}
            for state, at in zip(states, hosts, strict=True):
                for name, parts in state.items():
                    for box, _, _ in parts:
                        masks[name][slices(box)] |= at == host
            read = sum(result.bytes_read for result, at in zip(results, hosts, strict=True) if at == host)
            assert read == needed_nbytes(made, masks)


def _parts(array: Array, rng: random.Random) -> list[tuple[Box, Array, Array]]:
    """Some boxes of an array, perhaps one twice, each with memory of its own: its owner, and a strided view of the extent."""
    parts = []
    for box in rng.choices(random_cuts(array.shape, 3, rng), k=rng.randrange(1, 4)):
        axes = list(range(array.ndim))
        rng.shuffle(axes)
        gap = [rng.choice([1, 1, 2]) for _ in axes]
        owner = np.zeros([box.extent[axis] * gap[axis] for axis in axes], array.dtype)
        view = owner.transpose(np.argsort(axes)) if axes else owner
        parts.append((box, owner, view[tuple(slice(None, None, step) for step in gap)] if axes else view))
    return parts


def _holding(name: str, array: Array, parts: list[tuple[Box, Array, Array]]) -> Holding:
    """The parts as one holding, whose memory is all their memories in a row."""
    code = code_of(array.dtype)
    owners = [owner.reshape(-1).view(raw_dtype(code)) for _, owner, _ in parts]
    starts = np.cumsum([0, *map(len, owners)])
    pieces = tuple(
        Piece(box, int(start), tuple(stride // array.dtype.itemsize for stride in view.strides))
        for (box, _, view), start in zip(parts, starts, strict=False)
    )
    return Holding(name, Object(code, array.shape), pieces, _Several(owners, starts))


class _Several:
    """Several host memories as one."""

    def __init__(self, owners: list[Array], starts: Array) -> None:
        self._owners, self._starts = owners, starts

    def view(self, piece: Piece) -> Array:
        # an empty owner has the same start as the next: the last one that begins here has the elements
        number = int(np.searchsorted(self._starts[:-1], piece.offset, side="right")) - 1
        return HostMemory(self._owners[number]).view(piece._replace(offset=piece.offset - int(self._starts[number])))

    def read(self, piece: Piece, into: Array) -> None:
        into[...] = self.view(piece)

    def write(self, piece: Piece, values: Array) -> None:
        self.view(piece)[...] = values

    def version(self) -> int:
        return -1

    def address(self) -> int:
        return 0  # nowhere in particular


@pytest.mark.parametrize("first", [1700, 2100, 2714])  # at the beginning of a block, inside, up to its end
def test_only_the_blocks_that_are_needed_are_read(made: Synthetic, first: int) -> None:
    part = np.zeros((10, 1024), "f4")
    rows = Inventory([holding("big", part, Box((first, 0), (10, 1024)), (3000, 1024))])
    loaded = load(made.backend, made.manifest, made.segments, rows, select=lambda name: name == "big")
    assert same(part, made.arrays["big"][first : first + 10])
    assert loaded.bytes_read == 4 << 20
    assert loaded.bytes_filled == part.nbytes


def test_the_disk_is_told_of_every_read_a_few_reads_before_it_is_made(made: Synthetic, monkeypatch: pytest.MonkeyPatch) -> None:
    told: set[tuple[str, int, int]] = set()
    open_ones: list[int] = []
    ended: list[str] = []
    fetch = LocalFiles.fetch

    def advise(descriptor: int, start: int, nbytes: int, advice: int) -> None:
        assert advice == os.POSIX_FADV_WILLNEED
        told.add((str(Path(f"/proc/self/fd/{descriptor}").readlink()), start, nbytes))

    def fetched(source: LocalFiles, read: Read, buffers: list[memoryview]) -> None:
        key = (str(made.path(read.segment)), read.start, read.nbytes)
        if "read" not in ended:  # what comes then is in memory
            assert key in told
            open_ones.append(len(told) - len(open_ones))
        fetch(source, read, buffers)

    monkeypatch.setattr("headway.checkpoint.load.loader.AHEAD", 2)
    monkeypatch.setattr("headway.checkpoint.load.loader.LOCAL_THREADS", 1)  # which do not overtake each other
    monkeypatch.setattr("os.posix_fadvise", advise)
    monkeypatch.setattr(LocalFiles, "fetch", fetched)
    loaded = fill(made, blank(made), on_phase=lambda phase: ended.append(phase.name))
    assert sum(nbytes for _, _, nbytes in told) == loaded.bytes_read
    assert max(open_ones) == 3  # this one, and two ahead


def test_what_is_not_selected_stays_as_it_is(made: Synthetic) -> None:
    arrays, got = blank(made), []
    before = {name: array.copy() for name, array in arrays.items()}
    state = inventory(arrays, accept=got.append)
    load(made.backend, made.manifest, made.segments, state, select=lambda name: name in ("cols", "lr"))
    assert same(arrays["cols"], made.arrays["cols"])
    assert all(same(arrays[name], before[name]) for name in arrays if name != "cols")
    assert got == [{"lr": 0.1}]


def test_what_only_the_checkpoint_has_is_left_there_if_that_is_said(made: Synthetic) -> None:
    arrays = {name: array for name, array in blank(made).items() if name != "big"}
    with pytest.raises(CheckpointMismatch, match="big is in the checkpoint"):
        fill(made, arrays)
    loaded = fill(made, arrays, strict=False)
    assert all(same(array, made.arrays[name]) for name, array in arrays.items())
    assert loaded.bytes_read == made.manifest.nbytes - made.arrays["big"].nbytes


def test_arrays_that_are_tied_in_the_state_must_be_equal_in_the_checkpoint(tmp_path: Path) -> None:
    """Also where they were saved in different fragments, so that no hash tells."""
    array = random_array((50, 30), "U32", 1)
    cuts = {"head": [(1, Box((0, 0), (20, 30))), (0, Box((20, 0), (30, 30)))]}
    equal = make(tmp_path / "equal", {"emb": array, "head": array}, cuts)
    different = make(tmp_path / "different", {"emb": array, "head": array + 1}, cuts)
    into = np.zeros_like(array)
    state = inventory({"emb": into}, aliases={"head": Object("U32", (50, 30), alias_of="emb")})
    with pytest.raises(CheckpointMismatch, match=r"head is tied to emb in the state, but .* has two different"):
        load(different.backend, different.manifest, different.segments, state)
    assert not into.any()
    loaded = load(equal.backend, equal.manifest, equal.segments, state)
    assert same(into, array)
    assert loaded.bytes_read == 3 * array.nbytes  # both were read for the comparison


class FarMemory:
    """Stands for the memory of another device: it can only be copied to and from."""

    def __init__(self, flat: Array) -> None:
        self._near = HostMemory(flat)

    def view(self, piece: Piece) -> None:
        return None

    def read(self, piece: Piece, into: Array) -> None:
        self._near.read(piece, into)

    def write(self, piece: Piece, values: Array) -> None:
        assert values.flags.c_contiguous
        assert values.shape == piece.box.extent
        self._near.write(piece, values)

    def version(self) -> int:
        return -1

    def address(self) -> int:
        return self._near.address()


def test_memory_of_another_device_is_filled(made: Synthetic) -> None:
    arrays = blank(made)
    state = inventory(arrays)
    for each_holding in state.holdings:
        each_holding.memory = FarMemory(each_holding.memory.flat)
    load(made.backend, made.manifest, made.segments, state)
    assert all(same(arrays[name], array) for name, array in made.arrays.items())


def test_phases_are_told_with_their_bytes(made: Synthetic) -> None:
    phases: list[Phase] = []
    loaded = fill(made, blank(made), on_phase=phases.append)
    assert [(phase.name, phase.nbytes) for phase in phases] == [
        ("plan", 0),
        ("read", loaded.bytes_read),
        ("scatter", loaded.bytes_filled),
    ]
    assert [phase.seconds for phase in phases] == [loaded.plan_s, loaded.read_s, loaded.scatter_s]


def _places(made: Synthetic) -> list[tuple[int, int, Fragment, int]]:
    """First, middle and last byte of every block: file, byte, fragment, number of the block."""
    places = []
    for number, segment in enumerate(made.segments):
        for fragment in segment.fragments:
            itemsize = made.arrays[fragment.name].dtype.itemsize
            nbytes, block = fragment.box.volume * itemsize, block_nbytes(fragment.extent, itemsize)
            for at in range(0, nbytes, block):
                last = min(at + block, nbytes) - 1
                places += [(number, fragment.start + byte, fragment, at // block) for byte in {at, (at + last) // 2, last}]
    return places


@pytest.mark.parametrize("kind", [LocalBackend, WithoutPaths])
def test_a_flipped_bit_in_any_block_is_named_and_nothing_changes(made: Synthetic, kind: type[LocalBackend]) -> None:
    places = _places(made)
    assert len(places) > 30
    assert {made.arrays[fragment.name].dtype.name for _, _, fragment, _ in places} == {
        array.dtype.name for array in made.arrays.values() if array.size
    }
    arrays = blank(made)
    before = {name: array.copy() for name, array in arrays.items()}
    for file, at, fragment, block in places:
        made.flip(file, at)
        with pytest.raises(CheckpointDamaged) as caught:
            fill(made, arrays, backend=kind(made.root))
        text = str(caught.value)
        assert f"tensor {fragment.name}: block {block} in {made.segments[file].file}, bytes " in text
        begin, end = (int(word) for word in text.split("bytes ")[1].split(":")[0].split(" to "))
        assert begin <= at < end
        assert "Nothing of the state was changed" in text
        assert all(same(arrays[name], before[name]) for name in arrays)
        made.flip(file, at)
    fill(made, arrays, backend=kind(made.root))


def test_a_flipped_bit_outside_of_the_tensors_is_found_too(made: Synthetic) -> None:
    """Sealed files are refused. A header is no part of what a load uses, so the load is right; `verify` names it."""
    folder = made.root / made.manifest.folder
    for path in sorted(folder.glob("*.json")):
        for at in range(0, path.stat().st_size, 97):
            flip(path, at)
            with pytest.raises(CheckpointDamaged, match=path.name):
                read_segments(made.backend, read_manifest(made.backend, made.manifest.folder))
            flip(path, at)
    for number, segment in enumerate(made.segments):
        for at in (0, 8, segment.header_nbytes - 1):
            made.flip(number, at)
            arrays = blank(made)
            fill(made, arrays)
            assert all(same(arrays[name], array) for name, array in made.arrays.items())
            assert [problem.kind for problem in verify(made.backend, made.manifest).problems] == ["header"]
            made.flip(number, at)


def test_a_segment_of_another_checkpoint_is_refused(made: Synthetic, tmp_path: Path) -> None:
    other = make(tmp_path / "other", {"big": made.arrays["big"]})
    name = made.manifest.segments[0].file
    (made.root / name).write_bytes((other.root / name).read_bytes())
    with pytest.raises(CheckpointDamaged, match="whole, but not the one that was committed"):
        read_segments(made.backend, made.manifest)


def test_a_manifest_that_was_moved_is_refused(made: Synthetic) -> None:
    (made.root / made.manifest.folder).rename(made.root / "steps" / "000000000009-6a1f")
    with pytest.raises(CheckpointDamaged, match="is the manifest of steps/000000000007-6a1f"):
        read_manifest(made.backend, "steps/000000000009-6a1f")
    with pytest.raises(NoCheckpoint):
        read_manifest(made.backend, made.manifest.folder)


@pytest.mark.parametrize("kind", [LocalBackend, WithoutPaths])
def test_a_missing_file_is_named_with_the_first_tensor_that_is_in_it(made: Synthetic, kind: type[LocalBackend]) -> None:
    made.path(2).unlink()
    arrays = blank(made)
    before = {name: array.copy() for name, array in arrays.items()}
    with pytest.raises(CheckpointDamaged, match=r"tensor cols: block 0 in steps/\S*/00002.safetensors.*can't be read"):
        fill(made, arrays, backend=kind(made.root))
    assert all(same(arrays[name], before[name]) for name in arrays)


@pytest.mark.parametrize("kind", [LocalBackend, WithoutPaths])
@pytest.mark.parametrize("file", [0, 1, 2])
def test_a_file_that_lost_its_last_byte_is_named(made: Synthetic, kind: type[LocalBackend], file: int) -> None:
    os.truncate(made.path(file), made.segments[file].nbytes - 1)
    arrays = blank(made)
    before = {name: array.copy() for name, array in arrays.items()}
    with pytest.raises(CheckpointDamaged, match=rf"in steps/\S*/0000{file}.safetensors.*can't be read"):
        fill(made, arrays, backend=kind(made.root))
    assert all(same(arrays[name], before[name]) for name in arrays)


def test_bytes_that_change_after_they_were_verified_are_noticed(made: Synthetic) -> None:
    """The second pass hashes what it puts into the state, and says that the state is spoiled."""

    def then(phase: Phase) -> None:
        if phase.name == "read":
            made.flip(0, made.segments[0].nbytes - 1)

    with pytest.raises(CheckpointDamaged, match=r"tensor flag: block 0 .* must not be used"):
        fill(made, blank(made), on_phase=then)


def test_the_ranks_of_a_host_read_each_block_once(made: Synthetic) -> None:
    states = [blank(made) for _ in range(4)]

    def one(ranks: ThreadRanks) -> Loaded:
        return fill(made, states[ranks.rank], ranks=ranks)

    results = on_ranks(["a", "b", "a", "a"], one)
    assert all(same(state[name], array) for state in states for name, array in made.arrays.items())
    read = [result.bytes_read for result in results]
    assert read[1] == sum(read[0::2]) + read[3] == made.manifest.nbytes
    assert all(result.bytes_filled == made.manifest.nbytes for result in results)


@pytest.mark.parametrize("kind", [LocalBackend, WithoutPaths])
def test_damage_that_one_rank_finds_is_raised_on_all_and_changes_no_state(made: Synthetic, kind: type[LocalBackend]) -> None:
    states = [blank(made) for _ in range(3)]
    made.flip(2, made.segments[2].nbytes - 1)  # in the share of the last rank

    def one(ranks: ThreadRanks) -> Loaded:
        return fill(made, states[ranks.rank], ranks=ranks, backend=kind(made.root))

    results = on_ranks(["a", "a", "a"], one)
    assert all(isinstance(result, CheckpointDamaged) for result in results), results
    assert [str(result).startswith("rank 2: ") for result in results] == [True, True, False]
    assert all("tensor wide" in str(result) for result in results)
    assert all(same(state[name], array) for state in states for name, array in blank(made).items())


def test_a_state_of_one_rank_that_does_not_fit_is_raised_on_all(made: Synthetic) -> None:
    def one(ranks: ThreadRanks) -> Loaded:
        arrays = blank(made)
        if ranks.rank == 1:
            arrays["cols"] = arrays["cols"][:3]
        return fill(made, arrays, ranks=ranks)

    results = on_ranks(["a", "b"], one)
    assert all(isinstance(result, CheckpointMismatch) for result in results), results
    assert str(results[0]).startswith("rank 1: ")
    assert all("cols is BF16 [3, 48] in the state and BF16 [64, 48] in the checkpoint" in str(result) for result in results)


def test_an_exception_of_any_class_on_one_rank_reaches_the_others(made: Synthetic) -> None:
    def refuse(values: object) -> None:
        raise ZeroDivisionError("the scheduler refuses")

    def one(ranks: ThreadRanks) -> Loaded:
        state = inventory(blank(made), **({"accept": refuse} if ranks.rank == 0 else {}))
        return load(made.backend, made.manifest, made.segments, state, ranks=ranks)

    results = on_ranks(["a", "a"], one)
    assert isinstance(results[0], ZeroDivisionError)
    assert "The arrays of the state are those of checkpoint 6a1f of step 7 already" in results[0].__notes__[0]
    assert "rank 0: ZeroDivisionError: the scheduler refuses" in str(results[1])


def test_ranks_that_load_different_checkpoints_are_told(made: Synthetic, tmp_path: Path) -> None:
    other = make(tmp_path / "other", made.arrays, id="77aa")
    results = on_ranks(["a", "b"], lambda ranks: fill((made, other)[ranks.rank], blank(made), ranks=ranks))
    assert all(isinstance(result, CheckpointMismatch) and "different checkpoints: 6a1f, 77aa" in str(result) for result in results)


def test_a_value_that_the_checkpoint_does_not_have_is_named(made: Synthetic) -> None:
    with pytest.raises(CheckpointMismatch, match=r"momentum is in the state \(a plain value\), but not in the checkpoint"):
        load(made.backend, made.manifest, made.segments, inventory(blank(made), values={"lr": 1, "momentum": 0.9}))


def test_ranks_that_cannot_open_each_others_spools_fetch_for_themselves(made: Synthetic, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in two containers of one host, where the system refuses."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    states = [blank(made), blank(made)]
    backend = WithoutPaths(made.root)
    results = on_ranks(["a", "a"], lambda ranks: fill(made, states[ranks.rank], ranks=ranks, backend=backend))
    assert [result.bytes_read for result in results] == [made.manifest.nbytes] * 2
    assert all(same(state[name], array) for state in states for name, array in made.arrays.items())
