"""Plans against numpy: which blocks are needed, who reads them, where they go, and what is refused before anything is read."""

from __future__ import annotations

import math
import random
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import Array, Synthetic, blocks_of, make, random_cuts, slices

from headway.checkpoint.files.manifest import Coverage, Fragment, Manifest, Object, Segment
from headway.checkpoint.layout.boxes import Box, whole
from headway.checkpoint.load.blocks import Contents, StoredFragment
from headway.checkpoint.load.plan import READ_BYTES, LoadPlan, Want, coalesce, plan_load
from headway.errors import CheckpointDamaged, CheckpointMismatch

shapes = st.lists(st.integers(1, 7), max_size=4).map(tuple)


def wanted(name: str, array: Array, *boxes: Box, tied_to: str = "") -> Want:
    code = {"f": "F", "i": "I", "u": "U"}[array.dtype.kind] + str(array.dtype.itemsize * 8)
    return Want(name, code, array.shape, boxes or ((whole(array.shape),) if not tied_to else ()), tied_to)


def plan_alone(made: Synthetic, *wants: Want) -> LoadPlan:
    return plan_load(Contents(made.manifest, made.segments), {0: wants}, {0: "here"})


@pytest.fixture
def small(tmp_path: Path) -> Synthetic:
    return make(tmp_path, {"w": np.arange(12.0).reshape(3, 4), "b": np.arange(4.0)})


# --- geometry --------------------------------------------------------------------------------------------------------


@given(shapes, st.integers(1, 60), st.randoms())
def test_the_blocks_that_a_box_touches_are_those_that_hold_one_of_its_elements(
    shape: tuple[int, ...], size: int, rng: random.Random
) -> None:
    part = rng.choice(random_cuts(shape, 4, rng))
    placed = StoredFragment(0, 0, "w", whole(shape), 1, 4096, "", size)
    flat = np.arange(math.prod(shape)).reshape(shape)
    expected = sorted(set((flat[slices(part)] // size).reshape(-1).tolist()))
    assert [number for numbers in placed.find_blocks(part) for number in numbers] == expected


@given(shapes, st.integers(1, 60))
def test_the_boxes_of_the_blocks_are_the_fragment_in_its_order(shape: tuple[int, ...], size: int) -> None:
    placed = StoredFragment(0, 0, "w", whole(shape), 1, 4096, "", size)
    flat = np.arange(math.prod(shape)).reshape(shape)
    order: list[int] = []
    for number in range(placed.count):
        for box, at in placed.boxes(number):
            assert at == len(order) - number * size
            order += flat[slices(box)].reshape(-1).tolist()
    assert order == list(range(flat.size))


@given(shapes, st.randoms())
def test_a_box_is_a_run_exactly_when_its_elements_follow_each_other(shape: tuple[int, ...], rng: random.Random) -> None:
    part = rng.choice(random_cuts(shape, 4, rng))
    elements = np.arange(math.prod(shape)).reshape(shape)[slices(part)].reshape(-1)
    expected = int(elements[0]) if (np.diff(elements) == 1).all() else None
    assert StoredFragment(0, 0, "w", whole(shape), 1, 4096, "", 8).run(part) == expected


# --- what is read, and by whom ---------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_every_wanted_element_is_filled_once_from_blocks_read_once_on_each_host(data: st.DataObject) -> None:
    """Random arrays, fragmentations, wanted boxes, ranks and hosts, with blocks of few elements."""
    rng = data.draw(st.randoms())
    shape = data.draw(shapes)
    flat = np.arange(math.prod(shape), dtype="i8").reshape(shape)
    block = data.draw(st.sampled_from([8, 16, 24, 80, 4096]))
    ranks = data.draw(st.integers(1, 4))
    hosts = {rank: rng.choice("ab") for rank in range(ranks)}
    with blocks_of(block):
        contents = Contents(*_on_paper(flat, random_cuts(shape, 5, rng), block))
        wants = {rank: [wanted("w", flat, *random_cuts(shape, 3, rng)[: rng.randrange(1, 4)])] for rank in range(ranks)}
        plan = plan_load(contents, wants, hosts)
    for rank, mine in plan.ranks.items():
        seen = {box: np.zeros(shape, int) for box in wants[rank][0].boxes}
        needed = set()
        for where, fills in mine.fills.items():
            placed = contents.place(*where)
            for fill in fills:
                assert placed.box.holds(fill.box)
                seen[wants[rank][0].boxes[fill.piece]][slices(fill.box)] += 1
                needed |= {placed.block(int(at)) for at in np.unique(_flat_within(placed, fill.box) * 8 // block)}
        for box, count in seen.items():
            assert (count[slices(box)] == 1).all()
            assert count.sum() == box.volume
        assert {each for read in mine.reads for each in read.blocks} == needed
        assert mine.fill_nbytes == sum(box.volume for box in wants[rank][0].boxes) * 8
    for host in set(hosts.values()):
        mates = [rank for rank in hosts if hosts[rank] == host]
        verified = [each for rank in mates for read in plan.ranks[rank].verify for each in read.blocks]
        assert verified == sorted({each for rank in mates for read in plan.ranks[rank].reads for each in read.blocks})
        assert plan.read_nbytes >= sum(each.nbytes for each in verified)


def _on_paper(flat: Array, boxes: list[Box], block: int) -> tuple[Manifest, list[Segment]]:
    """A manifest and two segments for these boxes, with hashes of the right number."""
    files: list[list[Fragment]] = [[], []]
    ends = [4096, 4096]
    for number, box in enumerate(boxes):
        nbytes, file = box.volume * 8, number % 2
        files[file].append(Fragment("w", box.offset, box.extent, ends[file], "0" * 32 * -(-nbytes // block)))
        ends[file] += nbytes
    segments = [Segment(f"{n}.safetensors", ends[n], 4096, "", tuple(files[n]), str(n)) for n in range(2)]
    manifest = Manifest("6a1f", 7, 1, 0.0, {"w": Object("I64", flat.shape)}, {}, (), Coverage(1, len(boxes), flat.nbytes))
    return manifest, segments


def _flat_within(placed: StoredFragment, box: Box) -> Array:
    """The elements of a box by their number in the fragment's row-major order."""
    inside = box.shift([-at for at in placed.box.offset])
    return np.arange(placed.box.volume).reshape(placed.box.extent)[slices(inside)].reshape(-1)


def test_the_ranks_of_a_host_verify_equal_shares_in_the_order_of_the_files(tmp_path: Path) -> None:
    arrays = {f"w{n:02d}": np.zeros(1000 + n, "f4") for n in range(40)}
    made = make(tmp_path, arrays, {name: [(n % 3, whole(array.shape))] for n, (name, array) in enumerate(arrays.items())})
    wants = [wanted(name, array) for name, array in arrays.items()]
    plan = plan_load(Contents(made.manifest, made.segments), dict.fromkeys(range(4), wants), dict.fromkeys(range(4), "here"))
    shares = [plan.ranks[rank].verify_nbytes for rank in range(4)]
    assert sum(shares) == plan.read_nbytes == sum(array.nbytes for array in arrays.values())
    assert max(shares) - min(shares) < 3 * 4200
    places = [(read.segment, read.start) for rank in range(4) for read in plan.ranks[rank].verify]
    assert places == sorted(places)


def test_adjacent_blocks_are_read_together_up_to_a_few_mebibytes(tmp_path: Path) -> None:
    made = make(tmp_path, {f"w{n}": np.zeros((40, 10_000), "f4") for n in range(10)})
    contents = Contents(made.manifest, made.segments)
    reads = coalesce(sorted(part.block(0) for n in range(10) for part in contents.parts(f"w{n}")))
    assert [len(read.blocks) for read in reads] == [2, 2, 2, 2, 2]
    assert all(read.nbytes <= READ_BYTES for read in reads)


def test_blocks_that_nobody_wants_are_not_read(tmp_path: Path) -> None:
    array = np.zeros((4096, 1024), "f4")  # 16 MiB: four blocks of 1024 rows
    made = make(tmp_path, {"w": array})
    plan = plan_alone(made, wanted("w", array, Box((1500, 10), (200, 5))))
    assert plan.read_nbytes == 4 << 20
    assert [block.number for read in plan.ranks[0].reads for block in read.blocks] == [1]


# --- what does not fit -----------------------------------------------------------------------------------------------


def test_all_that_does_not_fit_is_named_at_once(small: Synthetic) -> None:
    wants = [
        wanted("w", np.zeros((3, 5))),
        wanted("b", np.zeros(4, "f4")),
        wanted("new", np.zeros(2)),
    ]
    with pytest.raises(CheckpointMismatch) as caught:
        plan_alone(small, *wants)
    text = str(caught.value)
    assert "checkpoint 6a1f of step 7" in text
    assert "w is F64 [3, 5] in the state and F64 [3, 4] in the checkpoint" in text
    assert "b is F32 [4] in the state and F64 [4] in the checkpoint" in text
    assert "new is in the state (F64 [2]), but not in the checkpoint" in text
    assert text.count("\n") == 4


def test_a_tensor_that_the_state_does_not_have_is_not_ignored(small: Synthetic) -> None:
    with pytest.raises(CheckpointMismatch, match=r"b is in the checkpoint \(F64 \[4\]\), but not in the state"):
        plan_alone(small, wanted("w", small.arrays["w"]))


def test_what_another_host_wants_is_not_missing_here(small: Synthetic) -> None:
    contents = Contents(small.manifest, small.segments)
    plan = plan_load(contents, {1: [wanted("w", small.arrays["w"])]}, {1: "here"}, elsewhere=["b"])
    assert plan.read_nbytes == small.arrays["w"].nbytes


def test_what_is_not_selected_needs_no_place(small: Synthetic) -> None:
    contents = Contents(small.manifest, small.segments)
    plan = plan_load(contents, {0: [wanted("w", small.arrays["w"])]}, {0: "here"}, select=lambda name: name == "w")
    assert plan.read_nbytes == small.arrays["w"].nbytes


def test_what_nobody_wants_may_be_left_where_it_is(small: Synthetic) -> None:
    contents = Contents(small.manifest, small.segments)
    plan = plan_load(contents, {0: [wanted("w", small.arrays["w"])]}, {0: "here"}, strict=False)
    assert plan.read_nbytes == small.arrays["w"].nbytes


def test_a_hole_is_named_before_anything_is_read(small: Synthetic) -> None:
    segment = small.segments[0]
    holed = msgspec.structs.replace(segment, fragments=tuple(each for each in segment.fragments if each.name != "w"))
    with pytest.raises(CheckpointDamaged, match=r"tensor w: \[0:3, 0:4\] is in none of its files"):
        plan_load(
            Contents(small.manifest, [holed]), {0: [wanted("w", small.arrays["w"]), wanted("b", small.arrays["b"])]}, {0: "x"}
        )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"start": 10**9}, "outside of the data of a file"),
        ({"start": 0}, "outside of the data of a file"),
        ({"hashes": "00" * 32}, "has 2 hashes for 1 blocks"),
        ({"hashes": ""}, "has 0 hashes for 1 blocks"),
        ({"offset": (1, 0)}, r"is \[1:4, 0:4\], outside of the shape \[3, 4\]"),
        ({"offset": (0,), "extent": (12,)}, "has 1 dimensions, the tensor 2"),
    ],
)
def test_a_fragment_that_cannot_be_is_damage(small: Synthetic, change: dict[str, object], reason: str) -> None:
    segment = small.segments[0]
    fragments = [msgspec.structs.replace(each, **change) if each.name == "w" else each for each in segment.fragments]
    bad = msgspec.structs.replace(segment, fragments=tuple(fragments))
    with pytest.raises(CheckpointDamaged, match=rf"tensor w: fragment . of \S*safetensors .*{reason}"):
        plan_load(Contents(small.manifest, [bad]), {0: [wanted("w", small.arrays["w"])]}, {0: "x"}, elsewhere=["b"])


def test_fragments_that_claim_the_same_element_are_damage(small: Synthetic) -> None:
    with pytest.raises(CheckpointDamaged, match=r"tensor b: .* are stored and overlap"):
        plan_load(Contents(small.manifest, small.segments * 2), {0: [wanted("b", small.arrays["b"])]}, {0: "x"}, elsewhere=["w"])


# --- ties ------------------------------------------------------------------------------------------------------------


def test_a_tied_tensor_is_filled_from_the_one_that_holds_its_bytes(tmp_path: Path) -> None:
    array = np.arange(6.0).reshape(2, 3)
    made = make(tmp_path, {"emb": array}, aliases={"head": "emb"})
    untied = plan_alone(made, wanted("emb", array), wanted("head", array))
    assert untied.read_nbytes == array.nbytes
    assert untied.ranks[0].fill_nbytes == 2 * array.nbytes
    turned = plan_alone(made, wanted("head", array), wanted("emb", array, tied_to="head"))
    assert turned.ranks[0].fill_nbytes == array.nbytes


def test_a_tie_that_could_drop_one_of_two_different_arrays_has_to_be_looked_at(tmp_path: Path) -> None:
    array = np.arange(6.0)
    equal = make(tmp_path / "equal", {"emb": array, "head": array.copy()})
    plan = plan_alone(equal, wanted("emb", array), wanted("head", array, tied_to="emb"))
    assert (plan.read_nbytes, plan.ranks[0].ties) == (array.nbytes, ())
    different = make(tmp_path / "different", {"emb": array, "head": array + 1})
    assert plan_alone(different, wanted("emb", array), wanted("head", array, tied_to="emb")).ranks[0].ties == (("head", "emb"),)


def test_a_tied_tensor_that_the_checkpoint_does_not_have_gets_what_the_other_gets(tmp_path: Path) -> None:
    array = np.arange(6.0)
    made = make(tmp_path, {"emb": array})
    assert plan_alone(made, wanted("emb", array), wanted("head", array, tied_to="emb")).ranks[0].ties == ()


def test_a_tied_tensor_of_another_shape_does_not_fit(tmp_path: Path) -> None:
    made = make(tmp_path, {"emb": np.zeros(6), "head": np.zeros(7)})
    with pytest.raises(CheckpointMismatch, match=r"head is F64 \[6\] in the state and F64 \[7\] in the checkpoint"):
        plan_alone(made, wanted("emb", np.zeros(6)), wanted("head", np.zeros(6), tied_to="emb"))


def test_aliases_in_a_circle_are_damage(tmp_path: Path) -> None:
    made = make(tmp_path, {"w": np.zeros(3)})
    objects = {name: msgspec.structs.replace(made.manifest.objects["w"], alias_of=other) for name, other in ("ab", "ba")}
    with pytest.raises(CheckpointDamaged, match="a, b are each other's aliases"):
        Contents(msgspec.structs.replace(made.manifest, objects=objects), made.segments).holder("a")


# --- a dry run -------------------------------------------------------------------------------------------------------


def test_a_plan_describes_itself(small: Synthetic) -> None:
    wants = {0: [wanted("w", small.arrays["w"])], 1: [wanted("b", small.arrays["b"])]}
    plan = plan_load(Contents(small.manifest, small.segments), wants, {0: "left", 1: "right"})
    assert plan.describe(1e6).splitlines() == [
        "checkpoint 6a1f of step 7: 128 B to read from 1 file, each block once per host",
        "  file                                           needed          of   blocks",
        "  steps/000000000007-6a1f/00000.safetensors       128 B    4.12 KiB        2",
        "   rank  host        reads       fills",
        "      0  left         96 B        96 B",
        "      1  right        32 B        32 B",
        "  predicted: 9.6e-05 s at 0.001 GB/s from the medium to each host",
    ]
    assert plan.predicted_s(96, 96) == pytest.approx(2.0)
