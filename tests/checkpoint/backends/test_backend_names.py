"""No name leads out of a root: not in a call, not in a file that was read, not through a link."""

from __future__ import annotations

from pathlib import Path

import pytest
from backend_files import load
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.errors import CheckpointDamaged, UsageError
from headway.storage.backend import Backend
from headway.storage.local import LocalBackend
from headway.storage.opening import open_backend

PARTS_OF_NAMES = st.lists(st.sampled_from(["..", ".", "", "a", "steps", "b.json", "...", "~", " "]), min_size=1, max_size=5)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PARTS_OF_NAMES, st.sampled_from(["", "/", "file:///", "memory://other/", "//"]))
def test_no_name_leads_out_of_a_root(tmp_path: Path, parts: list[str], before: str) -> None:
    """Around the root lie files of somebody else, under the names that are tried: none is read, none is written."""
    name, around = before + "/".join(parts), tmp_path / "in"
    for folder in (tmp_path, around, around / "a"):
        folder.mkdir(exist_ok=True)
        for file in ("b.json", "..."):
            (folder / file).write_bytes(b"of somebody else")
    for root in (LocalBackend(around / "side"), open_backend(f"memory://{around}")):
        root.delete([file for file, _ in root.files("")])
        _try_to_leave(root, name, leaves=bool(before) or any(part in ("", ".", "..") for part in parts))
    found = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    mine = {each for each in found if each.startswith("in/side/")}
    assert found - mine == {"b.json", "...", "in/b.json", "in/...", "in/a/b.json", "in/a/..."}
    assert all((tmp_path / each).read_bytes() == b"of somebody else" for each in found - mine)


def _try_to_leave(root: Backend, name: str, *, leaves: bool) -> None:
    looks = (lambda: root.get(name), lambda: root.stat(name), lambda: load(root, name, 0, 4))
    writes = (lambda: root.put(name, b"x"), lambda: root.swap(name, b"x", None), lambda: root.create(name, 1))
    hides = any(part.startswith(".") for part in name.split("/"))
    if leaves:
        for look in looks:
            with pytest.raises(CheckpointDamaged, match="no name of a file"):
                look()
    if leaves or hides:
        for write in writes:
            with pytest.raises(UsageError, match="no name of a file"):
                write()
    else:
        root.put(name, b"x")
        assert root.get(name) == b"x"


@pytest.mark.parametrize("file", ["../x", "/etc/hostname", "a/../../x", "memory://x/y", "a//b", "./a", ""])
def test_a_name_to_read_that_leads_out_of_the_root_is_damage(root: Backend, file: str) -> None:
    """It was read from a file: a manifest or a segment, which says something impossible."""
    for look in (lambda: root.get(file), lambda: root.stat(file), lambda: load(root, file, 0, 1)):
        with pytest.raises(CheckpointDamaged, match="no name of a file in a root"):
            look()


def test_a_link_out_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"of somebody else")
    root = LocalBackend(tmp_path / "root")
    root.put("pins/a", b"x")
    (root.root / "steps").symlink_to(outside)
    (root.root / "pins" / "file").symlink_to(outside / "file")
    for file in ("steps/file", "pins/file"):
        for look in (root.get, root.stat, root.path, lambda each: load(root, each, 0, 1)):
            with pytest.raises(CheckpointDamaged, match="through a link"):
                look(file)
    for write in (lambda: root.put("steps/new", b"x"), lambda: root.create("steps/new", 1), lambda: root.delete(["steps/file"])):
        with pytest.raises(UsageError, match="through a link"):
            write()
    root.delete(["pins/file"])  # the link, and not what it leads to
    assert [each.name for each in outside.iterdir()] == ["file"]
    linked = tmp_path / "linked"
    linked.symlink_to(root.root)
    assert LocalBackend(linked).get("pins/a") == b"x"  # a root may be a link itself
