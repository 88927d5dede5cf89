"""A proof that finds nothing is worth what it would have found: bugs are put into Headway on purpose, and each must be caught."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from bugs import BUGS, KNOWN, QUICK
from seeded import Bug, Caught, hunt, stale

WORKERS = 2


@pytest.fixture(scope="module")
def hunts(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Caught | None]]]:
    """The hunts for all bugs that were asked for, under way beside each other."""
    wanted = {found.name: found for item in request.session.items if (found := _bug_of(item)) is not None}
    with ThreadPoolExecutor(WORKERS) as threads:
        yield {name: threads.submit(hunt, found) for name, found in wanted.items()}
        threads.shutdown(cancel_futures=True)


def _bug_of(item: pytest.Item) -> Bug | None:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("seeded") if callspec is not None else None


def _see_caught(seeded: Bug, caught: Caught | None) -> None:
    where = seeded.tests or "{1} seeds of {0}".format(*seeded.place)
    assert caught is not None, (
        f"nothing catches this bug: {seeded.name} (looked at {where}). That is a hole in the random programs, "
        "in what is done to them or in what is asked of them: close it"
    )
    print(
        f"{seeded.name}: caught by {caught.by!r} after {caught.cases} cases ({caught.trouble}, seed {caught.seed}): {caught.what}"
    )


@pytest.mark.parametrize("seeded", [found for found in BUGS if found.name in QUICK], ids=str)
def test_a_seeded_bug_is_caught_at_once(seeded, hunts):
    _see_caught(seeded, hunts[seeded.name].result())


@pytest.mark.long
@pytest.mark.parametrize("seeded", BUGS, ids=str)
def test_a_seeded_bug_is_caught(seeded, hunts):
    _see_caught(seeded, hunts[seeded.name].result())


def test_every_seeded_bug_is_one_of_the_code_as_it_is():
    assert not (reasons := stale(KNOWN)), "\n\n".join(reasons)
    assert len({seeded.name for seeded in KNOWN}) == len(KNOWN)
    assert len(BUGS) >= 50
    assert {seeded.name for seeded in BUGS} >= set(QUICK)
