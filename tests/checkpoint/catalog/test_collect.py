"""Garbage collection takes what nobody wants, and nothing else, whatever happens around it."""

from __future__ import annotations

import contextlib
import itertools
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from roots import Crash, Dying, commit, data_file, point_head, write_data, write_manifest, write_segments

from headway.checkpoint.catalog.collect import Report, collect
from headway.checkpoint.catalog.leases import (
    READERS,
    Lease,
    find_live,
    lease_for_reading,
    lease_for_saving,
    open_leased,
    pin,
    pins,
    unpin,
)
from headway.checkpoint.catalog.listing import find, flaw, manifests, newest, place_of
from headway.checkpoint.catalog.retention import Keep
from headway.checkpoint.files.manifest import ROOT_NAME, folder_of
from headway.errors import CheckpointDamaged, CheckpointError, NoCheckpoint
from headway.storage.backend import Backend
from headway.storage.opening import open_backend

LATER = 4e9  # long after any grace
ONE = Keep(last=1)
unique = itertools.count()


@pytest.fixture(params=["local", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    return open_backend(tmp_path / "root" if request.param == "local" else f"memory://{tmp_path}")


def names(root: Backend, folder: str = "") -> list[str]:
    return [file for file, _ in root.files(folder)]


def ids(root: Backend) -> list[str]:
    return [each.id for each in manifests(root).checkpoints]


def why(report: Report, id: str) -> tuple[str, ...]:
    return next(each.why for each in report.kept if f"-{id}" in each.folder)


def damage(root: Backend, file: str) -> None:
    data = bytearray(root.get(file))
    data[len(data) // 2] ^= 1
    root.delete([file])
    root.put(file, bytes(data))


# --- what goes and what stays ----------------------------------------------------------------------------------------


def test_what_no_rule_keeps_goes_wholly(root: Backend) -> None:
    for step in (10, 20, 30):
        commit(root, f"id{step}", step, writers=2)
    before = {file: stat.nbytes for file, stat in root.files("")}
    report = collect(root, Keep(last=2))
    assert [each.id for each in report.removed] == ["id10"]
    assert ids(root) == ["id30", "id20"]
    gone = [file for file in before if "id10" in file]
    assert list(report.swept) == gone
    assert report.nbytes == sum(before[file] for file in gone)
    assert names(root) == [file for file in before if file not in gone]
    assert report.notes == ()


def test_a_dry_run_says_what_a_real_one_does_and_changes_nothing(root: Backend) -> None:
    first = commit(root, "id10", 10, writers=2)
    commit(root, "id20", 20, uses=[data_file("id10", 10, 1)])
    before = names(root)
    dry = collect(root, ONE, dry_run=True)
    assert names(root) == before
    real = collect(root, ONE)
    assert dry.dry_run
    assert not real.dry_run
    assert (dry.removed, dry.kept, dry.swept, dry.nbytes) == (real.removed, real.kept, real.swept, real.nbytes)
    assert first.folder in {each.folder for each in real.removed}


def test_a_file_that_a_kept_checkpoint_uses_stays_wherever_it_is(root: Backend) -> None:
    commit(root, "id10", 10, writers=2)
    commit(root, "id20", 20, uses=[data_file("id10", 10, 1)])
    collect(root, ONE)
    assert names(root, folder_of(10, "id10")) == [data_file("id10", 10, 1)]
    assert flaw(root, find(root, 20)) == ""
    commit(root, "id30", 30)
    collect(root, ONE, now=LATER)
    assert {place_of(file.rpartition("/")[0]) for file in names(root, "steps")} == {place_of(folder_of(30, "id30"))}


def test_a_file_goes_at_once_when_the_last_that_shares_it_goes(root: Backend) -> None:
    commit(root, "id10", 10, writers=2)
    commit(root, "id20", 20, uses=[data_file("id10", 10, 0), data_file("id10", 10, 1)])
    collect(root, ONE)
    assert len(names(root, folder_of(10, "id10"))) == 2
    commit(root, "id30", 30, uses=[data_file("id10", 10, 1)])
    assert data_file("id10", 10, 0) in collect(root, ONE, dry_run=True).swept
    collect(root, ONE)
    assert names(root, folder_of(10, "id10")) == [data_file("id10", 10, 1)]  # what is still shared keeps only itself
    commit(root, "id40", 40)
    write_segments(root, "young", 50, write_data(root, "young", 50))
    collect(root, ONE)
    assert names(root, folder_of(10, "id10")) == []
    assert len(names(root, folder_of(50, "young"))) == 2  # which may be a save on its way


def test_the_reasons_are_given(root: Backend) -> None:
    for step in (10, 20, 30):
        commit(root, f"id{step}", step)
    pin(root, "id10")
    with lease_for_reading(root, "id20"):
        report = collect(root, ONE)
    assert why(report, "id30") == ("the newest", "HEAD", "the newest whole one")
    assert why(report, "id10") == ("pinned",)
    assert why(report, "id20")[0].startswith("in use by process ")


def test_a_pin_holds_until_it_is_taken_out(root: Backend) -> None:
    commit(root, "id10", 10)
    commit(root, "id20", 20)
    pin(root, "id10")
    pin(root, "id10")
    assert pins(root) == {"id10"}
    collect(root, ONE)
    assert ids(root) == ["id20", "id10"]
    unpin(root, "id10")
    unpin(root, "id10")
    collect(root, ONE)
    assert ids(root) == ["id20"]


def test_the_checkpoint_of_head_stays_even_if_others_are_newer(root: Backend) -> None:
    commit(root, "id10", 10)
    commit(root, "id20", 20, head=False)
    commit(root, "id30", 30, head=False)
    report = collect(root, ONE)
    assert ids(root) == ["id30", "id10"]
    assert why(report, "id10") == ("HEAD",)


@pytest.mark.parametrize("harm", ["missing", "short", "segment", "no segment"])
def test_the_newest_whole_checkpoint_stays_as_a_fall_back(root: Backend, harm: str) -> None:
    for step in (10, 20, 30):
        commit(root, f"id{step}", step)
    broken = data_file("id30", 30)
    if harm == "segment":
        damage(root, broken.replace(".safetensors", ".json"))
    else:
        root.delete([broken.replace(".safetensors", ".json") if harm == "no segment" else broken])
        if harm == "short":
            root.put(broken, b"short")
    report = collect(root, ONE)
    assert ids(root) == ["id30", "id20"]
    assert why(report, "id20") == ("the newest whole one",)
    assert any("id30" in note for note in report.notes)


def test_a_segment_in_the_folder_of_another_checkpoint_stays_with_its_data(root: Backend) -> None:
    first = commit(root, "id10", 10)
    second = write_manifest(root, "id20", 20, 20, first.segments)
    point_head(root, second)
    report = collect(root, ONE, now=LATER)
    assert report.swept == (f"{first.folder}/{ROOT_NAME}",)
    assert flaw(root, second) == ""


def test_a_segment_that_verifies_but_is_another_one_is_a_flaw(root: Backend) -> None:
    first = commit(root, "id10", 10)
    second = commit(root, "id20", 20)
    (theirs,), (ours,) = first.segments, second.segments
    root.delete([ours.file])
    root.put(ours.file, root.get(theirs.file))
    assert "not the one that was committed" in flaw(root, second)


def test_while_a_segment_cannot_be_read_no_data_goes(root: Backend) -> None:
    commit(root, "id10", 10)
    commit(root, "id20", 20, uses=[data_file("id10", 10)])
    damage(root, f"{folder_of(20, 'id20')}/00001.json")
    before = names(root)
    report = collect(root, ONE, now=LATER)
    assert "no data is removed" in report.notes[-1]
    assert names(root) == before
    commit(root, "id30", 30)
    pin(root, "id20")
    collect(root, ONE, now=LATER)
    assert [file for file in before if not file.endswith(ROOT_NAME)] == [
        file for file in names(root) if "id30" not in file and not file.endswith(ROOT_NAME) and not file.startswith("pins")
    ]


def test_a_damaged_manifest_is_reported_and_never_taken(root: Backend) -> None:
    old = commit(root, "id10", 10)
    commit(root, "id20", 20)
    damage(root, f"{old.folder}/{ROOT_NAME}")
    before = names(root)
    report = collect(root, ONE, now=LATER)
    assert names(root) == before
    assert why(report, "id10") == ("its manifest does not verify: take it away by hand",)
    assert "id10" in report.notes[0]
    assert "does not match" in report.notes[0]


def test_what_was_never_committed_goes_after_a_grace(root: Backend) -> None:
    commit(root, "id10", 10)
    write_segments(root, "dead", 20, write_data(root, "dead", 20))
    written = max(stat.modified for _, stat in root.files(folder_of(20, "dead")))
    report = collect(root, ONE, grace_s=60, now=written + 59)
    assert report.swept == ()
    assert "perhaps a save on its way" in why(report, "dead")[0]
    report = collect(root, ONE, grace_s=60, now=written + 61)
    assert report.swept == (f"{folder_of(20, 'dead')}/00000.json", data_file("dead", 20))
    assert ids(root) == ["id10"]


@pytest.mark.parametrize("back_s", [3600.0, 365 * 86_400.0])
def test_what_was_written_before_the_clock_was_set_back_goes_after_a_grace(tmp_path: Path, back_s: float) -> None:
    root = open_backend(str(tmp_path))
    commit(root, "id10", 10)
    write_segments(root, "dead", 20, write_data(root, "dead", 20))
    now = min(stat.modified for _, stat in root.files(folder_of(20, "dead"))) - back_s
    for later in (0, 60):
        assert collect(root, ONE, grace_s=60, now=now + later).swept == ()
    assert collect(root, ONE, grace_s=60, now=now + 61).swept == (f"{folder_of(20, 'dead')}/00000.json", data_file("dead", 20))
    assert ids(root) == ["id10"]


def test_a_file_that_only_a_save_on_its_way_uses_stays(root: Backend) -> None:
    commit(root, "id10", 10)
    commit(root, "id20", 20)
    with lease_for_saving(root, "id30", "00000"):
        refs = write_segments(root, "id30", 30, [data_file("id10", 10)])
        collect(root, ONE, grace_s=-1)
        assert names(root, folder_of(10, "id10")) == [data_file("id10", 10)]
        manifest = write_manifest(root, "id30", 30, 30, refs)
        point_head(root, manifest)
    collect(root, ONE)
    assert ids(root) == ["id30"]
    assert flaw(root, manifest) == ""


def test_what_a_dead_writer_left_half_written_goes_at_once(tmp_path: Path) -> None:
    root = open_backend(tmp_path)
    commit(root, "id10", 10)
    left = tmp_path / folder_of(10, "id10") / ".00001.safetensors.abc.partial"
    left.write_bytes(bytes(100))
    for dry_run in (True, False):
        report = collect(root, ONE, dry_run=dry_run)
        assert report.swept == (f"{folder_of(10, 'id10')}/{left.name}",)
        assert report.nbytes == 100
        assert left.exists() == dry_run


def test_what_is_not_ours_is_left_alone(root: Backend) -> None:
    commit(root, "id10", 10)
    for file in ("notes.txt", "steps/readme", "steps/mine/data", "other/data"):
        root.put(file, b"x")
    before = names(root)
    assert collect(root, ONE, now=LATER).swept == ()
    assert names(root) == before


def test_an_empty_root_is_collected(root: Backend) -> None:
    assert collect(root, ONE) == Report((), (), (), 0, (), False)


# --- readers and savers that come in between --------------------------------------------------------------------------


def test_what_is_being_read_stays_with_all_that_it_uses(root: Backend) -> None:
    commit(root, "id10", 10)
    commit(root, "id20", 20, uses=[data_file("id10", 10)])
    commit(root, "id30", 30)
    with open_leased(root, 20) as (manifest, _):
        collect(root, ONE, grace_s=0)
        assert flaw(root, manifest) == ""
    assert names(root, READERS) == []
    collect(root, ONE, grace_s=0, now=LATER)
    assert ids(root) == ["id30"]
    assert len({file.split("/")[1] for file in names(root, "steps")}) == 1


def test_a_reader_that_comes_while_the_manifest_goes_keeps_its_data(root: Backend) -> None:
    commit(root, "id10", 10)
    commit(root, "id20", 20, uses=[data_file("id10", 10)])
    commit(root, "id30", 30)
    with contextlib.ExitStack() as stack:
        entered = []
        deletions = collect(Dying(root), ONE, dry_run=True).removed
        assert [each.id for each in deletions] == ["id20", "id10"]
        # Changes: the clock comes and goes, then the manifests of id20 and id10 go.
        late = Dying(root, then={3: lambda: entered.append(stack.enter_context(open_leased(root, 20)))})
        collect(late, ONE, grace_s=0)
        ((manifest, _),) = entered
        assert ids(root) == ["id30"]
        for ref in manifest.segments:
            assert root.stat(ref.file) is not None
        assert root.stat(data_file("id10", 10)) is not None
        assert root.stat(data_file("id20", 20)) is not None
    collect(root, ONE, grace_s=0, now=LATER)
    assert len({file.split("/")[1] for file in names(root, "steps")}) == 1


def test_a_reader_that_comes_too_late_gets_another_checkpoint_or_an_error(root: Backend) -> None:
    commit(root, "id10", 10)
    commit(root, "id20", 20)

    def gone() -> None:
        collect(root, ONE, grace_s=0)

    racing = Dying(root, then={1: gone})  # the reader's own lease is its first change on an object store
    with pytest.raises(NoCheckpoint, match="no checkpoint 10"):
        if root.path("") is None:
            with open_leased(racing, 10):
                raise AssertionError
        else:
            gone()
            with open_leased(root, 10):
                raise AssertionError


def test_a_save_that_commits_while_a_collector_works_keeps_what_it_uses(root: Backend) -> None:
    commit(root, "id10", 10)
    commit(root, "id20", 20)

    def save() -> None:
        with lease_for_reading(root, "id10"), lease_for_saving(root, "id30", "00000"):
            manifest = write_manifest(root, "id30", 30, 30, write_segments(root, "id30", 30, [data_file("id10", 10)]))
            point_head(root, manifest)

    collect(Dying(root, then={3: save}), ONE, grace_s=0, now=None)
    assert flaw(root, find(root, 30)) == ""
    assert newest(root).manifest == find(root, 30)


def test_an_expiring_lease_ends_if_it_is_not_renewed(tmp_path: Path) -> None:
    root = open_backend(f"memory://{tmp_path}")
    commit(root, "id10", 10)
    commit(root, "id20", 20)
    lease = Lease(root, "readers/id10-abc", ttl_s=100)
    written = dict(root.files(READERS))["readers/id10-abc"].modified
    assert [each.id for each in find_live(root, READERS, written + 99)] == ["id10"]
    assert find_live(root, READERS, written + 101) == ()
    lease.renew()
    lease.check()
    assert dict(root.files(READERS))["readers/id10-abc"].modified > written
    collect(root, ONE, now=written + 50)
    assert ids(root) == ["id20", "id10"]
    collect(root, ONE, now=written + 500)
    assert ids(root) == ["id20"]
    with pytest.raises(CheckpointError, match="a collector ended it"):
        lease.renew()
    with pytest.raises(CheckpointError, match="the lease was lost"):
        lease.check()
    lease.release()


def test_a_lease_is_renewed_by_itself(tmp_path: Path) -> None:
    root = open_backend(f"memory://{tmp_path}")
    with lease_for_reading(root, "id10", ttl_s=0.03) as lease:
        first = root.get(lease.file)
        while root.get(lease.file) == first:
            pass
        lease.check()
    assert names(root) == []


READER = """
import sys
from headway.storage.local import LocalBackend
from headway.checkpoint.catalog.leases import open_leased
with open_leased(LocalBackend(sys.argv[1]), 10):
    print("reading", flush=True)
    sys.stdin.read()
"""


def test_a_killed_reader_holds_nothing(tmp_path: Path) -> None:
    root = open_backend(tmp_path)
    commit(root, "id10", 10)
    commit(root, "id20", 20)
    with subprocess.Popen([sys.executable, "-c", READER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"reading\n"
        assert f"process {child.pid} on" in why(collect(root, ONE), "id10")[0]
        child.send_signal(signal.SIGKILL)
    assert len(names(root, READERS)) == 1
    collect(root, ONE)
    assert ids(root) == ["id20"]
    assert names(root, READERS) == []


def test_who_may_only_read_reads_without_a_lease(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with lease_for_reading(open_backend(tmp_path / "file"), "id10") as lease:
        assert "file" in lease.why_not
        lease.check()


# --- a collector that dies --------------------------------------------------------------------------------------------


def test_a_collector_that_dies_leaves_whole_checkpoints_and_the_next_cleans_up(root: Backend) -> None:
    for after in itertools.count():
        base = open_backend(f"{root.url}-{after}")
        commit(base, "id10", 10, writers=2)
        commit(base, "id20", 20, uses=[data_file("id10", 10, 1)])
        commit(base, "id30", 30)
        commit(base, "id40", 40, uses=[data_file("id20", 20)])
        try:
            collect(Dying(base, after), ONE, grace_s=0)
        except Crash:
            finished = False
        else:
            finished = True
        catalog = manifests(base)
        assert catalog.damaged == ()
        assert [flaw(base, each) for each in catalog.checkpoints] == [""] * len(catalog.checkpoints)
        assert newest(base).manifest == find(base, 40)
        collect(base, ONE, now=LATER)
        assert ids(base) == ["id40"]
        left = [file for file in names(base) if "id40" not in file]
        assert left == ["HEAD", data_file("id20", 20)]
        if finished:
            assert after > 10
            return


@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=6),
    st.integers(1, 3),
    st.integers(0, 30),
)
def test_whatever_refers_to_whatever_all_that_stays_is_whole(
    history: list[tuple[int, bool, bool, bool]], last: int, after: int
) -> None:
    root = open_backend(f"memory://any-history-{next(unique)}")
    files: list[str] = []
    leases = contextlib.ExitStack()
    for step, (uses, committed, pinned, read) in enumerate(history):
        name = f"id{step}"
        if committed:
            commit(root, name, step, uses=files[-uses:] if uses else [])
        else:
            write_segments(root, name, step, [*write_data(root, name, step), *(files[:uses])])
        files.append(data_file(name, step))
        if pinned:
            pin(root, name)
        if read:
            leases.enter_context(lease_for_reading(root, name))
    before = {each.id: each for each in manifests(root).checkpoints}
    with leases:
        with contextlib.suppress(Crash):
            collect(Dying(root, after), Keep(last=last), grace_s=0)
        report = collect(root, Keep(last=last), grace_s=0)
        again = collect(root, Keep(last=last), grace_s=0)
    now = {each.id: each for each in manifests(root).checkpoints}
    newest_ids = sorted(before, key=lambda name: -before[name].serial)[:last]
    protected = {name for name in before if history[int(name[2:])][2] or history[int(name[2:])][3]}
    assert set(now) == protected | set(newest_ids)
    assert all(flaw(root, each) == "" for each in now.values())
    assert again.swept == ()
    assert all(each.why for each in report.kept)


# --- the catalogue -----------------------------------------------------------------------------------------------------


def test_checkpoints_are_found_by_step_by_id_and_by_the_beginning_of_an_id(root: Backend) -> None:
    commit(root, "aaaa1111", 10, 1)
    commit(root, "aaaa2222", 10, 2)
    commit(root, "bbbb3333", 20, 3)
    assert find(root, 10).id == "aaaa2222"
    assert find(root, "10").id == "aaaa2222"
    assert find(root, "aaaa1111").id == "aaaa1111"
    assert find(root, "bbbb").id == "bbbb3333"
    assert find(root, "latest").id == "bbbb3333"
    with pytest.raises(NoCheckpoint, match="beginning of several ids: aaaa1111, aaaa2222"):
        find(root, "aaaa")
    with pytest.raises(NoCheckpoint, match=r"no checkpoint 30. There are 3: 10 \(aaaa1111\), 10 \(aaaa2222\), 20 \(bbbb3333\)"):
        find(root, 30)


def test_an_empty_root_has_no_checkpoint_yet(root: Backend) -> None:
    assert newest(root).manifest is None
    with pytest.raises(NoCheckpoint, match="has no checkpoint yet"):
        find(root, "latest")
    with pytest.raises(NoCheckpoint, match="There is none at all"):
        find(root, 3)


@pytest.mark.parametrize("harm", ["head", "no head", "manifest", "no manifest"])
def test_the_newest_that_verifies_is_found_and_what_is_wrong_is_said(root: Backend, harm: str) -> None:
    commit(root, "id10", 10)
    last = commit(root, "id20", 20)
    if harm == "head":
        damage(root, "HEAD")
    elif harm == "no head":
        root.delete(["HEAD"])
    elif harm == "manifest":
        damage(root, f"{last.folder}/{ROOT_NAME}")
    else:
        root.delete([f"{last.folder}/{ROOT_NAME}"])
    found = newest(root)
    assert found.manifest is not None
    assert found.manifest.id == ("id20" if "head" in harm else "id10")
    assert len(found.skipped) == (0 if harm == "no head" else 1)
    assert all("HEAD" in each if harm != "manifest" else last.folder in each for each in found.skipped)
    if harm == "manifest":
        assert [each.folder for each in manifests(root).damaged] == [last.folder]
        with pytest.raises(CheckpointDamaged, match="id20"):
            find(root, 20)


def test_head_decides_and_not_the_serial(root: Backend) -> None:
    commit(root, "id10", 10)
    commit(root, "id20", 20, head=False)
    found = newest(root)
    assert found.manifest is not None
    assert found.manifest.id == "id10"


def test_if_nothing_verifies_every_reason_is_given(root: Backend) -> None:
    for step in (10, 20):
        damage(root, f"{commit(root, f'id{step}', step).folder}/{ROOT_NAME}")
    with pytest.raises(CheckpointDamaged, match=r"(?s)no checkpoint that verifies:.*id20.*id10"):
        find(root, "latest")


def test_a_copied_folder_is_not_another_checkpoint(root: Backend) -> None:
    manifest = commit(root, "id10", 10)
    root.put(f"{folder_of(11, 'id10')}/{ROOT_NAME}", root.get(f"{manifest.folder}/{ROOT_NAME}"))
    catalog = manifests(root)
    assert [each.step for each in catalog.checkpoints] == [10]
    assert "copied or renamed" in catalog.damaged[0].why
