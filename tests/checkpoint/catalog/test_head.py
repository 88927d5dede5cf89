"""HEAD names the newest checkpoint: by whichever way it is committed, it follows the one before, and takes HEAD from no other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from roots import Crash, Dying

from headway.checkpoint.catalog.commit_alone import commit
from headway.checkpoint.catalog.head import find_basis, move_head, see_head
from headway.checkpoint.catalog.leases import Lease
from headway.checkpoint.catalog.listing import manifests, newest
from headway.checkpoint.files.coverage import Draft
from headway.checkpoint.files.manifest import HEAD, Head, folder_of
from headway.checkpoint.helper.commit_all_ranks import Lineage, conclude
from headway.checkpoint.helper.messages import CommitPlan, WriterPlan
from headway.checkpoint.helper.saving import Save
from headway.errors import CheckpointConflict, CheckpointError
from headway.storage.backend import Backend
from headway.storage.local import LocalBackend

Way = Callable[[Backend, str, int], None]


def by_helper(backend: Backend, id: str, step: int, lease: Lease | None = None) -> None:
    """As a trainer and its helper do, for a state without tensors."""
    basis = find_basis(backend, see_head(backend))
    plan = CommitPlan((), {}, {}, 0.0, basis, basis.id if basis is not None else "")
    save = Save(WriterPlan(backend.url, id, step, "00000", 0, 0, (), plan, deadline_s=0.0), memoryview(b""))
    conclude(save, backend, lease or Lease(backend, "", why_not="nobody collects here"), Lineage())


def by_hand(backend: Backend, id: str, step: int) -> None:
    """As imports do."""
    commit(backend, Draft(id, step, 0, 0.0, {}, {}), [])


both_ways = pytest.mark.parametrize("way", [by_helper, by_hand])


@pytest.fixture
def root(tmp_path: Path) -> Backend:
    return LocalBackend(tmp_path)


@both_ways
def test_a_checkpoint_follows_the_one_that_head_names(root: Backend, way: Way) -> None:
    for step in (10, 20, 15):
        way(root, f"id{step}", step)
        assert see_head(root).head == Head(f"id{step}", step, len(manifests(root).checkpoints))
    assert [(each.id, each.serial, each.parent) for each in manifests(root).checkpoints] == [
        ("id15", 3, "id20"),
        ("id20", 2, "id10"),
        ("id10", 1, ""),
    ]


@both_ways
@pytest.mark.parametrize("before", [1, 2])  # the manifest, HEAD
@pytest.mark.parametrize("first", [True, False])
def test_who_finds_that_another_was_faster_says_so_and_takes_nothing_from_it(
    root: Backend, way: Way, before: int, first: bool
) -> None:
    if not first:
        by_hand(root, "id10", 10)
    busy = Dying(root, then={before: lambda: by_hand(root, "other", 30)})
    with pytest.raises(
        CheckpointConflict, match=r"the newest checkpoint is step 30 \(other\), where step 20 expected .* kept as id20"
    ):
        way(busy, "id20", 20)
    assert (head := see_head(root).head) is not None
    assert head.id == "other"
    assert {each.id for each in manifests(root).checkpoints} >= {"other", "id20"}


@both_ways
def test_head_never_names_a_checkpoint_that_is_not_there_yet(root: Backend, way: Way) -> None:
    way(root, "id10", 10)
    with pytest.raises(Crash):
        way(Dying(root, after=1), "id20", 20)
    assert [each.id for each in manifests(root).checkpoints] == ["id20", "id10"]
    found = newest(root)
    assert found.manifest is not None
    assert (found.manifest.id, found.skipped) == ("id10", ())
    way(root, "id30", 30)
    assert see_head(root).head == Head("id30", 30, 2)


@both_ways
def test_a_root_without_a_head_goes_on_from_its_newest_checkpoint(root: Backend, way: Way, tmp_path: Path) -> None:
    for step in (10, 20):
        way(root, f"id{step}", step)
    (tmp_path / HEAD).unlink()
    way(root, "id30", 30)
    (tmp_path / HEAD).write_bytes(b"\0" * 40)
    way(root, "id40", 40)
    assert [(each.id, each.serial) for each in manifests(root).checkpoints] == [("id40", 4), ("id30", 3), ("id20", 2), ("id10", 1)]
    assert see_head(root).head == Head("id40", 40, 4)


@both_ways
def test_serials_go_on_from_head_although_what_it_names_is_damaged(root: Backend, way: Way, tmp_path: Path) -> None:
    for step in (10, 20):
        way(root, f"id{step}", step)
    (tmp_path / folder_of(20, "id20") / "manifest.json").write_bytes(b"{}")
    way(root, "id30", 30)
    assert see_head(root).head == Head("id30", 30, 3)


def test_without_a_head_only_a_checkpoint_that_could_not_be_known_is_a_conflict(root: Backend, tmp_path: Path) -> None:
    for step in (10, 20):
        by_hand(root, f"id{step}", step)
    (tmp_path / HEAD).unlink()
    seen = see_head(root)
    with pytest.raises(CheckpointConflict, match=r"is step 20 \(id20\), where step 30 expected none"):
        move_head(root, seen, None, Head("id30", 30, 1))
    assert see_head(root) == (None, None)
    move_head(root, seen, Head("id10", 10, 1), Head("id30", 30, 2))  # id20 may be what a crash left of the save before
    assert see_head(root).head == Head("id30", 30, 2)


def test_nothing_is_committed_when_the_lease_on_its_files_was_lost(root: Backend) -> None:
    class Lost(Lease):
        def check(self) -> None:
            raise CheckpointError("a collector ended it")

    with pytest.raises(CheckpointError, match="a collector ended it"):
        by_helper(root, "id10", 10, Lost(root, "", why_not="nobody collects here"))
    assert manifests(root).checkpoints == ()
    assert see_head(root) == (None, None)
