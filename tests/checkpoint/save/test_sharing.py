"""What has not changed is on the disk once, and stays as long as any checkpoint needs it."""

from __future__ import annotations

import os

import numpy as np
import pytest
import stranger
import torch
from gang import Gang

import headway as hw
from headway.checkpoint.catalog.retention import Keep
from headway.checkpoint.files.manifest import Fragment, Object, PlannedFragment, Segment
from headway.checkpoint.files.stored import read_segments
from headway.checkpoint.formats.safetensors_files import export_safetensors
from headway.checkpoint.helper.sharing import FILES, Basis, SharedFragment, Shelf, find_fragments, keep_lively, make_segments
from headway.checkpoint.load.diff import diff
from headway.storage.local import LocalBackend

BASE = 300 * 300 * 4


class Lora:
    def __init__(self, seed=0):
        torch.manual_seed(seed)
        self.base = torch.nn.Linear(300, 300, bias=False).requires_grad_(False)
        self.adapter = torch.nn.Linear(300, 4)
        self.opt = torch.optim.Adam(self.adapter.parameters(), lr=0.1)
        self.state = {"base": self.base, "adapter": self.adapter, "opt": self.opt}

    def step(self):
        self.opt.zero_grad()
        self.adapter(self.base(torch.ones(1, 300))).sum().backward()
        self.opt.step()

    def weights(self):
        return {
            name: value.detach().clone() for name, value in (*self.base.named_parameters("b"), *self.adapter.named_parameters("a"))
        }


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def on_disk(root):
    return {str(file.relative_to(root)): file.stat().st_size for file in root.glob("steps/*/*.safetensors")}


def train(root, steps, lora=None, **options):
    lora, seen, saves = lora or Lora(), {}, {}
    with hw.Checkpoints(root, **options) as ck:
        for step in steps:
            lora.step()
            seen[step] = lora.weights()
            saves[step] = ck.save(lora.state, step)
            saves[step].durable()
    return lora, seen, saves


def loads(root, seen):
    for step, weights in seen.items():
        other = Lora(seed=9)
        hw.Checkpoints(root).load(into=other.state, step=step)
        assert same(other.weights(), weights)


def test_a_frozen_base_is_written_once_and_every_checkpoint_loads_alone(tmp_path):
    _, seen, saves = train(tmp_path, (1, 2, 3, 4))
    assert sum(on_disk(tmp_path).values()) < BASE + 4 * 60_000
    assert [saves[step].shared_nbytes for step in saves] == [0, BASE, BASE, BASE]
    assert saves[3].nbytes < 60_000
    loads(tmp_path, seen)
    ck = hw.Checkpoints(tmp_path)
    assert all(ck.verify(step).whole for step in seen)
    found = stranger.newest(tmp_path)  # a reader that was written from the page of the format
    assert found["base.weight"].tobytes() == seen[4]["b.weight"].numpy().tobytes()


def test_what_others_refer_to_stays_until_the_last_of_them_goes(tmp_path):
    lora, seen, _ = train(tmp_path, (1, 2, 3), keep=Keep(last=1))
    first = [file for file in on_disk(tmp_path) if file.startswith("steps/000000000001-")]
    assert [file.rpartition("/")[2] for file in first] == ["00000-still.safetensors"]  # and nothing of what was trained
    ck = hw.Checkpoints(tmp_path)
    assert [each.step for each in ck.manifests()] == [3]
    assert ck.verify().whole
    loads(tmp_path, {3: seen[3]})
    lora.base.weight.data.mul_(2)
    _, seen, _ = train(tmp_path, (4, 5), lora, keep=Keep(last=1))
    assert not [file for file in on_disk(tmp_path) if file in first]
    loads(tmp_path, {5: seen[5]})


@pytest.mark.parametrize("change", ["unseen", "in place", "another tensor"])
def test_a_change_is_written_whether_it_was_expected_or_not(tmp_path, change):
    lora, seen, _ = train(tmp_path, (1,))
    with hw.Checkpoints(tmp_path) as ck:
        for step in (2, 3, 4):
            if step == 3 and change == "unseen":
                lora.base.weight.data[7, 7] += 1
            elif step == 3 and change == "in place":
                with torch.no_grad():
                    lora.base.weight[7, 7] += 1
            elif step == 3:
                lora.base.weight = torch.nn.Parameter(lora.base.weight.detach() + 1, requires_grad=False)
            seen[step] = lora.weights()
            save = ck.save(lora.state, step)
            save.durable()
            assert save.shared_nbytes == (0 if step == 3 else BASE + 0)
    loads(tmp_path, seen)


def test_the_next_process_goes_on_sharing(tmp_path):
    _, seen, _ = train(tmp_path, (1, 2))
    other = Lora(seed=5)
    hw.Checkpoints(tmp_path).load(into=other.state)
    _, more, saves = train(tmp_path, (3, 4), other)
    assert [saves[step].shared_nbytes for step in saves] == [BASE, BASE]
    loads(tmp_path, seen | more)


def test_arrays_that_tell_nothing_are_shared_once_they_were_seen_unchanged(tmp_path):
    state = {"data": np.arange(50_000.0), "w": np.zeros(20_000)}
    with hw.Checkpoints(tmp_path) as ck:
        shared = []
        for step in range(1, 6):
            state["w"] += 1
            if step == 5:
                state["data"][3] = -1
            save = ck.save(state, step)
            save.durable()
            shared.append(save.shared_nbytes)
        assert shared == [0, 0, 400_000, 400_000, 0]
        for step, first in ((4, 3.0), (5, -1.0)):
            ck.load(into=state, step=step)
            assert (state["data"][3], state["w"][0]) == (first, step)


def test_tensors_that_stop_changing_one_by_one_keep_no_large_files(tmp_path):
    state = {f"layer{number}": np.full(12_500, float(number)) for number in range(10)}
    with hw.Checkpoints(tmp_path, keep=Keep(last=1)) as ck:
        for step in range(1, 13):
            for number in range(step - 1, 10):
                state[f"layer{number}"] += 1
            ck.save(state, step).durable()
            ck.wait()
    assert sum(on_disk(tmp_path).values()) < 1.5 * 1_000_000
    expected = {name: value.copy() for name, value in state.items()}
    for value in state.values():
        value[:] = 0
    hw.Checkpoints(tmp_path).load(into=state)
    assert all((state[name] == value).all() for name, value in expected.items())


def test_sharing_can_be_left_out(tmp_path):
    _, seen, saves = train(tmp_path, (1, 2, 3), share=False)
    assert all(not save.shared_nbytes for save in saves.values())
    assert len(on_disk(tmp_path)) == 3
    assert sum(on_disk(tmp_path).values()) > 3 * BASE
    loads(tmp_path, seen)


def test_a_file_that_is_not_whole_any_more_is_not_referred_to(tmp_path):
    lora, _, _ = train(tmp_path, (1, 2))
    (base,) = (file for file in on_disk(tmp_path) if file.endswith("-still.safetensors"))
    os.truncate(tmp_path / base, 5000)
    _, seen, saves = train(tmp_path, (3,), lora)
    assert saves[3].shared_nbytes == 0
    loads(tmp_path, seen)


def test_ranks_share_what_each_of_them_wrote_and_any_number_of_them_loads(tmp_path):
    copies = [Lora() for _ in range(3)]  # here, since ranks that are threads have one generator
    more = torch.nn.Linear(200, 200, bias=False).requires_grad_(False)

    def save(member):
        lora = copies[member.rank]
        with hw.Checkpoints(tmp_path, ranks=member) as ck:
            shared = []
            for step in (1, 2, 3):
                lora.step()
                save = ck.save({**lora.state, "more": more}, step)
                save.durable()
                shared.append(save.shared_nbytes)
            return shared, lora.weights()

    done = Gang(3).run(save)
    assert sorted(shared[2] for shared, _ in done) == [0, 160_000, BASE]
    fresh = [Lora(seed=3) for _ in range(2)]

    def load(member):
        hw.Checkpoints(tmp_path, ranks=member).load(into={**fresh[member.rank].state, "more": more})
        return same(fresh[member.rank].weights(), done[0][1])

    for size in (1, 2):
        assert Gang(size).run(load) == [True] * size


def test_what_is_shared_needs_no_reading_to_be_compared_and_is_exported_like_the_rest(tmp_path):
    _, seen, _ = train(tmp_path / "root", (1, 2))
    ck = hw.Checkpoints(tmp_path / "root")
    with ck.open(1) as before, ck.open(2) as after:
        found = diff(before, after)
        assert "base.weight" in found.equal
        assert found.bytes_read < BASE
        export_safetensors(ck.backend, after.contents, tmp_path / "out.safetensors", select="base.*")
    from safetensors.torch import load_file

    assert torch.equal(load_file(tmp_path / "out.safetensors")["base.weight"], seen[2]["b.weight"])


# --- its parts -------------------------------------------------------------------------------------------------------


def test_what_is_referred_to_is_leased_until_the_referring_checkpoint_exists(tmp_path):
    import contextlib

    train(tmp_path, (1,))
    backend, shelf = LocalBackend(tmp_path), Shelf()
    with contextlib.ExitStack() as held:
        assert shelf.take(backend, held).find("nobody", (0,), (1,), "") is None
        train(tmp_path, (2,), share=False)
        hw.Checkpoints(tmp_path).gc(Keep(last=1))
        assert [each.step for each in hw.Checkpoints(tmp_path).manifests()] == [2, 1]
    hw.Checkpoints(tmp_path).gc(Keep(last=1))
    with contextlib.ExitStack() as held:
        assert shelf.take(backend, held)._places == {}  # it is gone, and so is what was known of it
        assert shelf.take(backend, held)._places
    manifest = hw.Checkpoints(tmp_path).latest()
    shelf.keep(backend.url, manifest.id, manifest.step, read_segments(backend, manifest))
    with contextlib.ExitStack() as held:
        assert ("base.weight", (0, 0), (300, 300)) in shelf.take(backend, held)._places


def test_only_boxes_with_equal_hashes_in_files_of_our_own_are_referred_to(tmp_path):
    (tmp_path / "steps").mkdir()
    for name in ("a", "b"):
        (tmp_path / "steps" / name).write_bytes(b"x" * 10)

    def segment(file, header=2):
        return Segment(file, 10, header, "h", (Fragment(file, (0,), (4,), 4, "1" * 32),), "00000")

    places = find_fragments([segment("steps/a"), segment("/abs"), segment("s3://b/c"), segment("steps/raw", header=0)])
    assert [name for name, _, _ in places] == ["steps/a"]
    basis = Basis(places, LocalBackend(tmp_path))
    assert basis.find("steps/a", (0,), (4,), "1" * 32)
    assert basis.find("steps/a", (0,), (4,), "2" * 32) is None
    assert basis.find("steps/a", (1,), (4,), "1" * 32) is None
    (tmp_path / "steps" / "a").unlink()
    assert Basis(places, LocalBackend(tmp_path)).find("steps/a", (0,), (4,), "1" * 32) is None


def test_only_files_of_which_half_is_still_as_it_was_are_referred_to():
    def found(file, name, nbytes):
        fragment = Fragment(name, (0,), (nbytes,), 2, "1" * 32)
        return PlannedFragment(name, Object("U8", (nbytes,)), (0,), (nbytes,), 0), SharedFragment(
            fragment, Segment(file, 102, 2, "h", (fragment,))
        )

    boxes = [found("steps/a", "w", 20), found("steps/a", "v", 30), found("steps/b", "u", 49), found("steps/c", "t", 100)]
    assert [still.name for still, _ in keep_lively(boxes)] == ["w", "v", "t"]


def test_a_save_refers_to_so_many_files_and_no_more(tmp_path):
    (tmp_path / "steps").mkdir()
    segments = []
    for number in range(FILES + 5):
        (tmp_path / "steps" / str(number)).write_bytes(b"x" * 10)
        segments.append(Segment(f"steps/{number}", 10, 2, "h", (Fragment(f"w{number}", (0,), (4,), 4, "1" * 32),)))
    basis = Basis(find_fragments(segments), LocalBackend(tmp_path))
    found = [basis.find(f"w{number}", (0,), (4,), "1" * 32) for number in range(FILES + 5)]
    assert sum(place is not None for place in found) == FILES
    still = PlannedFragment("w0", Object("F32", (4,)), (0,), (4,), 0)
    (made,) = make_segments([(still, place) for place in found[:1]])
    assert (made.file, made.nbytes, made.header_nbytes, made.header_hash, made.fragments) == (
        "steps/0",
        10,
        2,
        "h",
        segments[0].fragments,
    )
    assert isinstance(found[0], SharedFragment)
