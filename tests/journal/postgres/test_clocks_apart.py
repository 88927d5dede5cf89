"""Machines whose clocks are hours apart agree on leases: all of them count by the server's."""

from __future__ import annotations

import time

import psycopg
import pytest
from backends import Doing, session_of, until, until_waiting

from headway.errors import RunOwned
from headway.journal.postgres import clock as clocks
from headway.journal.records import RunSpec, RunStatus
from headway.journal.shared.limits import Ask, Want
from headway.journal.shared.outcome import ConnectionLost
from headway.journal.shared.queues import Job, park

HOUR_S = 3600.0


class Machine:
    """A machine whose wall clock is off."""

    def __init__(self, opened, url, off_s):
        self.off_s = off_s
        self.store = opened(url, wall=self.now)

    def now(self):
        return time.time() + self.off_s


@pytest.mark.parametrize(("first", "second"), [(HOUR_S, -HOUR_S), (-HOUR_S, HOUR_S), (0.0, HOUR_S), (-HOUR_S, 0.0)])
def test_a_lease_is_over_for_all_machines_when_it_is_for_the_server(url, opened, first, second):
    one, other = Machine(opened, url, first), Machine(opened, url, second)
    one.store.create_run(RunSpec(run_id="sky", task="t"))
    lease = one.store.acquire("sky", "driver one", 30.0, one.now())
    until = one.store.run("sky").lease_until
    assert abs(until - (time.time() + 30.0)) < 5.0
    with pytest.raises(RunOwned):
        other.store.acquire("sky", "driver two", 30.0, other.now())
    one.store.renew(lease, one.now())
    assert one.store.run("sky").lease_until >= until
    taken = other.store.acquire("sky", "driver two", 30.0, other.now() + 31.0)
    assert taken.fence == lease.fence + 1


def test_who_waits_for_a_run_judges_its_lease_by_the_time_at_which_he_gets_it(url, opened, admin):
    store, first = opened(url), opened(url)
    first.create_run(RunSpec(run_id="sky", task="t"))
    first.acquire("sky", "driver one", 30.0, time.time() - 30.0)
    query = f"UPDATE {store.address.schema}.run SET lease_until=extract(epoch FROM clock_timestamp())+1.2"
    with psycopg.connect(store.address.conninfo) as other:
        other.execute(f"SELECT 1 FROM {store.address.schema}.run FOR UPDATE")
        pid = session_of(store).pid
        taking = Doing(lambda: store.acquire("sky", "driver two", 30.0, time.time()))
        until_waiting(admin, pid)
        other.execute(query)
        (over,) = other.execute(f"SELECT lease_until FROM {store.address.schema}.run").fetchone()
        until(lambda: admin.execute("SELECT extract(epoch FROM clock_timestamp())>%s", (over,)).fetchone() == (True,))
        other.commit()
    assert taking.result().fence == 2
    run = store.run("sky")
    assert run.owned_since >= over - clocks.LEAST_S
    assert run.lease_until >= over + 30.0 - clocks.LEAST_S


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S])
def test_a_clock_that_is_set_while_a_run_is_driven_moves_no_lease(url, opened, jump_s):
    machine = Machine(opened, url, 0.0)
    store = machine.store
    store.create_run(RunSpec(run_id="sky", task="t"))
    lease = store.acquire("sky", "driver", 30.0, machine.now())
    machine.off_s = jump_s
    store.renew(lease, machine.now())
    assert abs(store.run("sky").lease_until - (time.time() + 30.0)) < 5.0


def test_a_lease_that_was_renewed_by_an_old_measure_is_renewed_again_by_the_new_one(url, opened):
    """As after a machine has slept, while its monotonic clock stood still."""
    machine = Machine(opened, url, 0.0)
    store = machine.store
    store.create_run(RunSpec(run_id="sky", task="t"))
    lease = store.acquire("sky", "driver", 30.0, machine.now())
    store._clock._ahead_of_monotonic -= HOUR_S
    store.renew(lease, machine.now())
    assert abs(store.run("sky").lease_until - (time.time() + 30.0)) < 5.0


def test_places_of_a_limit_are_leased_by_the_server_s_clock(url, opened):
    one, other = Machine(opened, url, HOUR_S), Machine(opened, url, -HOUR_S)
    asks, want = [Ask("gpu", capacity=1)], [Want(("gpu",), 1)]
    assert one.store.share("one", asks, want, one.now(), 30.0)["gpu"].room == 1
    assert other.store.share("other", asks, want, other.now(), 30.0)["gpu"].room == 0
    assert other.store.share("other", asks, want, other.now() + 31.0, 30.0)["gpu"].room == 1


def test_clocks_that_differ_by_less_than_can_be_told_are_the_same():
    clock = clocks.ServerClock()
    assert clock.ahead_s() == 0.0
    now = time.monotonic()
    for ahead_s, took_s, expected_s in ((0.04, 0.001, 0.0), (0.4, 0.5, 0.0), (0.4, 0.1, 0.4), (-7.0, 0.1, -7.0)):
        clock.note(time.time() + ahead_s, now - took_s / 2, now + took_s / 2)
        assert clock.ahead_s() == pytest.approx(expected_s, abs=0.3 if expected_s else 0.0)


def test_a_run_that_is_parked_by_a_machine_whose_clock_is_off_is_woken_by_the_server_s_clock(url, opened):
    machine = Machine(opened, url, HOUR_S)
    machine.store.enqueue(RunSpec(run_id="sky", task="t"), Job(), machine.now())
    ((_, lease, _),) = machine.store.take_jobs("worker", ["default"], None, 1, 30.0, machine.now())
    machine.store.release(lease, RunStatus.INTERRUPTED, machine.now(), after=park(until=machine.now() + 600.0))
    plain = opened(url)
    found = plain.job("sky", time.time())
    assert found is not None
    assert abs(found.at - (time.time() + 600.0)) < 5.0
    assert plain.take_jobs("worker", ["default"], None, 1, 30.0, time.time()) == []
    assert len(plain.take_jobs("worker", ["default"], None, 1, 30.0, time.time() + 605.0)) == 1


def test_what_is_done_again_is_done_at_the_time_that_it_is_then(url, opened):
    store, seen = opened(url), list[float]()

    def twice() -> None:
        seen.append(store._ahead_s)
        if len(seen) < 4:
            raise ConnectionLost("not now")

    store.insist(twice, 30.0)
    assert seen == sorted(seen)
    assert seen[0] == 0.0
    assert seen[-1] > 0.01
    assert store._ahead_s == 0.0
