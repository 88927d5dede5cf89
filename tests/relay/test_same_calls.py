"""What code in a worker asks of its run is what the same code asks on the driver: simulated, so that every moment can be met."""

from __future__ import annotations

from typing import Any

import bodies
import pytest
from bodies import ARGUMENTS, AT_HOME, DONE, IN_PROCESS

import headway as hw
from headway.journal.records import COSTED, Kind
from headway.sim.config import STEADY, SimConfig
from headway.sim.history import History
from headway.sim.store import Crash

NAMES = sorted(IN_PROCESS)


def live(history: History, root: Any, *args: Any, **options: Any) -> Any:
    life = history.live(root, *args, **options)
    history.check()
    return life


def names_in(history: History) -> set[tuple[int, bytes]]:
    """Kind and key of each row of the journal."""
    return {(int(row.kind & ~COSTED), row.key) for row in history.rows()}


@pytest.mark.parametrize("name", NAMES)
def test_calls_and_decisions_of_a_body_in_a_process_have_the_names_that_they_have_at_home(name):
    home, away = History(1, STEADY), History(1, STEADY)
    tight = (True,) if ARGUMENTS[name] else ()
    expected = live(home, AT_HOME[name], *ARGUMENTS[name], *tight).value
    assert expected is not None
    assert live(away, IN_PROCESS[name], *ARGUMENTS[name], *tight).value == expected
    assert names_in(away) == names_in(home)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_begun_at_home_goes_on_in_a_process_and_repeats_nothing(name):
    whole = History(1, STEADY)
    expected = live(whole, AT_HOME[name], *ARGUMENTS[name]).value
    rows = len(whole.rows())
    for after in range(1, rows, 5):
        ends = []
        for where in (AT_HOME, IN_PROCESS):
            again = History(1, STEADY)
            live(again, AT_HOME[name], *ARGUMENTS[name], crash=Crash(after, "after"))
            known = names_in(again)
            life = live(again, where[name], *ARGUMENTS[name])
            assert life.value == expected, f"killed after row {after} of {rows}"
            assert known <= names_in(again)
            ends.append(names_in(again))
        assert ends[0] == ends[1], f"killed after row {after} of {rows}"


@pytest.mark.parametrize("how", ["before", "after"])
@pytest.mark.parametrize("name", NAMES)
def test_a_driver_that_is_killed_after_any_record_finds_all_again(name, how):
    whole = History(1, STEADY)
    expected = live(whole, IN_PROCESS[name], *ARGUMENTS[name]).value
    size = len(whole.rows())
    for after in range(1, size, 4 if name == "shapes" else 1):
        again = History(1, STEADY)
        live(again, IN_PROCESS[name], *ARGUMENTS[name], crash=Crash(after, how))
        DONE.clear()
        known = names_in(again)
        ended = {key.hex() for kind, key in known if kind == int(Kind.OUTCOME)}
        life = live(again, IN_PROCESS[name], *ARGUMENTS[name])
        assert life.value == expected, f"killed {how} row {after} of {size}"
        assert known <= names_in(again)
        assert not DONE.keys() & ended, f"killed {how} row {after} of {size}: a call that had ended ran again"


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", NAMES)
def test_a_run_ends_as_ever_whatever_dies_and_in_whatever_order_things_come(name, seed):
    config = SimConfig(shuffle=0.5, stall=0.02, worker_dies=0.3, job_s=(0.01, 0.3, 3.0)[seed % 3], any_order=True)
    history = History(seed, config)
    root = RETRIED[name]
    for life in range(12):
        ended = live(history, root, *ARGUMENTS[name], **({"kill_in": 60 + 57 * seed} if life < 3 else {}))
        if ended.how == "returned":
            break
    assert ended.how == "returned", ended
    assert not ended.unfinished
    assert max(DONE.values()) <= life + 1, "what had ended ran again in one life"


RETRIED = {
    name: bodies.in_pool(getattr(bodies, name), "process", retry=hw.Retry(attempts=50, delay_s=0.1, on=(hw.WorkerDied,)))
    for name in NAMES
}
