"""A disk that is full (ENOSPC) or fails (EIO) at any write or sync: the run says so and stops, and goes on when the disk is well.

Two ways to such a disk: a small tmpfs, mounted in a namespace of its own where the system lets users have one, and a library of
failing.c, preloaded, whose writes and syncs fail from the n-th on, or once only.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from victims import LIMIT_S, PROGRAMS, Victims, check_recorded_once, of_kind, often, rows, successes

from headway.journal.records import Kind
from headway.journal.upkeep.doctor import examine

SIZE = 12
MOUNTED = """
mount -t tmpfs -o size="$1"k tmpfs "$2" || exit 77
shift 1; folder="$1"; shift 1
"$@"; code=$?
cp -r "$folder/store" "$folder.full"
mount -o remount,size=64m "$folder"
[ $code -gt 1 ] || { "$@" && cp -r "$folder/store" "$folder.after"; }; echo $code $? > "$folder.codes"
"""


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library whose writes fail."""
    compiler = shutil.which("cc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("needs Linux and a C compiler called cc")
    library = tmp_path_factory.mktemp("failing") / "failing.so"
    subprocess.run(
        [compiler, "-O1", "-shared", "-fPIC", "-o", library, PROGRAMS / "failing.c", "-ldl"], check=True, timeout=LIMIT_S
    )
    return library


def disk(library: Path, store: Path, **how: object) -> dict[str, str]:
    return {"LD_PRELOAD": str(library), "FAIL_UNDER": str(store), **{f"FAIL_{name.upper()}": str(how[name]) for name in how}}


def count_calls(victims: Victims, library: Path, what: str) -> int:
    """How many writes, syncs or both the program makes."""
    tally = victims.folder / f"counted.{what}"
    env = disk(library, victims.folder / what, what=what, count=tally)
    assert victims.start("large_results.py", what, SIZE, env=env).wait(LIMIT_S) == 0, victims.said(what)
    return tally.stat().st_size


def check_said(said: str, folder: Path, code: int) -> None:
    """One sentence, which names the disk's error and the place; a traceback is for bugs."""
    assert "Traceback" not in said, said
    assert "Exception ignored" not in said, said
    if code:
        assert said.startswith("StoreFull: "), said
        assert str(folder) in said


def check_what_is_left(store: Path, victims: Victims, name: str) -> set[str]:
    """After the failure: what is recorded can be read, and no effect began without its start on the disk."""
    found = rows(store)
    starts = {row.key.hex() for row in of_kind(found, Kind.START)}
    assert {line[1] for line in victims.lines(name, "pay")} <= starts
    assert set(successes(found).values()) <= {1}
    return set(successes(found))


def check_end(store: Path, victims: Victims, name: str, seen: int, recorded: set[str], expected: str) -> None:
    assert victims.result(name) == expected
    again = {line[1] for line in victims.lines(name)[seen:]} & recorded
    assert not again, "what was recorded before the disk failed ran again"
    check_recorded_once(rows(store))
    assert examine(store).whole


def fail_and_go_on(victims: Victims, library: Path, name: str, expected: str, **how: object) -> int:
    """Run on a failing disk, then on a good one. Returns the first exit code."""
    store = victims.folder / name
    code = victims.start("large_results.py", name, SIZE, env=disk(library, store, **how)).wait(LIMIT_S)
    assert code in (0, 1), victims.said(name)
    check_said(victims.said(name), store, code)
    recorded, seen = check_what_is_left(store, victims, name), len(victims.lines(name))
    assert victims.start("large_results.py", name, SIZE).wait(LIMIT_S) == 0, victims.said(name)
    check_end(store, victims, name, seen, recorded, expected)
    return code


@pytest.mark.parametrize("what", ["write", "sync"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["ENOSPC", "EIO"])
def test_a_run_whose_disk_fails_stops_and_goes_on_when_the_disk_is_well(victims, failing, what, number):
    expected = victims.undisturbed("large_results.py", SIZE)
    calls = count_calls(victims, failing, what)
    for after in (0, calls // 2):
        code = fail_and_go_on(victims, failing, f"after{after}", expected, what=what, after=after, **{"with": number})
        assert code == 1, "the disk did not fail"
        assert after == 0 or "go on with: headway resume kills" in victims.said(f"after{after}")


@pytest.mark.long
@pytest.mark.parametrize("how", [{"what": "both"}, {"what": "write", "times": 1}, {"what": "sync", "times": 1}])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["ENOSPC", "EIO"])
def test_no_call_of_the_disk_can_fail_in_a_way_that_loses_something(victims, failing, how, number):
    expected = victims.undisturbed("large_results.py", SIZE)
    calls = count_calls(victims, failing, str(how["what"]))
    trials = min(calls, often(20))
    codes = [
        fail_and_go_on(victims, failing, f"after{after}", expected, after=after, **how, **{"with": number})
        for after in (calls * trial // trials for trial in range(trials))
    ]
    assert codes.count(1) >= trials // 2, "the disk hardly failed"


def fill_and_go_on(victims: Victims, kib: int, expected: str) -> int:
    """Run on a disk of so many KiB, then on the same disk with room. Returns the first exit code."""
    name = f"disk{kib}"
    folder = victims.folder / name
    folder.mkdir()
    files = [str(folder / "store"), f"{folder}.result", f"{folder}.ran", str(SIZE)]
    namespace = ["unshare", "--user", "--map-root-user", "--mount"]
    command = [
        *namespace,
        "sh",
        "-c",
        MOUNTED,
        "sh",
        str(kib),
        str(folder),
        sys.executable,
        str(PROGRAMS / "large_results.py"),
        *files,
    ]
    process = victims.launch(command, folder.with_suffix(".err"))
    process.wait(LIMIT_S)
    codes = Path(f"{folder}.codes")
    assert codes.exists(), victims.said(name)
    first, second = map(int, codes.read_text().split())
    check_said(victims.said(name), folder, first)
    recorded = set(successes(rows(Path(f"{folder}.full"))))
    assert second == 0, victims.said(name)
    check_end(Path(f"{folder}.after"), victims, name, len(victims.lines(name)), recorded, expected)
    paid = [line[1] for line in victims.lines(name, "pay")]
    large = [line[1] for line in victims.lines(name, "large")]
    assert all(paid.count(key) == 1 for key in recorded & set(paid)), "a recorded effect happened again"
    assert all(large.count(key) == 1 for key in recorded & set(large)), "a recorded call ran again"
    return first


def require_small_disks(folder: Path) -> None:
    """Skip where no file system can be mounted."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        pytest.skip("needs Linux and unshare to mount a small disk")
    command = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    tried = subprocess.run(command, capture_output=True, timeout=LIMIT_S, env=os.environ)
    if tried.returncode:
        pytest.skip(f"no small disk can be mounted here: {tried.stderr.decode(errors='replace').strip()}")


def test_a_run_whose_disk_is_full_goes_on_when_there_is_room(victims):
    require_small_disks(victims.folder)
    expected = victims.undisturbed("large_results.py", SIZE)
    codes = [fill_and_go_on(victims, kib, expected) for kib in (160, 300, 4096)]
    assert codes == [1, 1, 0]


@pytest.mark.long
def test_a_disk_may_be_full_at_any_size(victims):
    require_small_disks(victims.folder)
    expected = victims.undisturbed("large_results.py", SIZE)
    sizes = [4 + 600 * trial // often(20) // 4 * 4 for trial in range(often(20))]
    codes = [fill_and_go_on(victims, kib, expected) for kib in dict.fromkeys(sizes)]
    assert codes.count(1) > len(codes) // 2, "the disks were too large"
