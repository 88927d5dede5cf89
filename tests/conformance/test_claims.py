"""Claims on shared results: one run computes a name, its claim lasts as long as its lease, and a result ends it."""

from __future__ import annotations

import graphlib
import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from midway import all_at_once
from store_model import ALIVE, DEAD

from headway.errors import LeaseLost
from headway.journal.records import Ending, Lease, Row, RunSpec, RunStatus
from headway.journal.shared.claims import Reply, Wish

TTL_S = 30.0
SKY, SEA, SUN = (bytes([n]) * 16 for n in (1, 2, 3))
ROW = Row(3, b"c" * 16, b"\0" * 16, b"result")
OTHER = Row(3, b"d" * 16, b"\0" * 16, b"another")
numbers = itertools.count()


def drive(store, run_id, owner=ALIVE, now=0.0):
    store.create_run(RunSpec(run_id=run_id, task="t"))
    return store.acquire(run_id, owner, TTL_S, now)


def ask(store, lease, *names, now=1.0, **more):
    return store.claim(lease, [Wish(name) for name in names], now, **more)


def test_the_first_run_that_asks_computes_and_the_others_hear_who_does(store):
    one, two = drive(store, "one"), drive(store, "two", "somebody elsewhere")
    assert ask(store, one, SKY, SEA) == [Reply(mine=True)] * 2
    assert ask(store, two, SKY, SUN) == [Reply(by=ALIVE), Reply(mine=True)]
    assert ask(store, one, SUN, SKY) == [Reply(by="somebody elsewhere"), Reply(mine=True)]
    assert {name: claim.run for name, claim in store.claims().items()} == {SKY: one.uid, SEA: one.uid, SUN: two.uid}


def test_a_result_and_the_end_of_its_claim_are_one_transaction(store):
    one, two = drive(store, "one"), drive(store, "two")
    ask(store, one, SKY, SEA)
    store.commit(one, 1, [ROW], 2.0, cache=[(SKY, ROW)])
    assert ask(store, two, SKY, SEA, now=2.0) == [Reply(row=ROW), Reply(by=ALIVE)]
    assert list(store.claims()) == [SEA]


def test_a_commit_that_is_refused_ends_no_claim(store):
    one = drive(store, "one")
    ask(store, one, SKY)
    store.commit(one, 1, [ROW], 2.0)
    with pytest.raises(Exception, match="reload the run"):
        store.commit(one, 1, [ROW], 2.0, cache=[(SKY, ROW)])
    assert list(store.claims()) == [SKY]


def test_a_claim_that_ended_without_a_result_is_the_next_ones(store):
    one, two = drive(store, "one"), drive(store, "two")
    ask(store, one, SKY)
    assert ask(store, one, done=[SKY]) == []
    assert store.claims() == {}
    assert ask(store, two, SKY) == [Reply(mine=True)]
    ask(store, one, done=[SKY])  # another run's is not its to end
    assert store.claims()[SKY].run == two.uid


def test_a_claim_that_ends_and_is_wished_for_at_once_stays(store):
    one, two = drive(store, "one"), drive(store, "two")
    ask(store, one, SKY)
    assert ask(store, one, SKY, done=[SKY]) == [Reply(mine=True)]
    assert ask(store, two, SKY) == [Reply(by=ALIVE)]


def test_a_result_that_does_not_hold_is_made_again_by_one_run_at_a_time(store):
    one, two = drive(store, "one"), drive(store, "two")
    store.commit(one, 1, [ROW], 1.0, cache=[(SKY, ROW)])
    assert store.claim(one, [Wish(SKY, ROW)], 1.0) == [Reply(mine=True)]
    assert store.claim(two, [Wish(SKY, ROW)], 1.0) == [Reply(by=ALIVE)]
    store.commit(one, 2, [OTHER], 2.0, cache=[(SKY, OTHER)])
    assert store.claim(two, [Wish(SKY, ROW)], 2.0) == [Reply(row=OTHER)]


def test_a_claim_lasts_as_long_as_its_lease_and_is_renewed_with_it(store):
    one, two = drive(store, "one", "somebody elsewhere"), drive(store, "two")
    ask(store, one, SKY)
    store.renew(one, 20.0)
    assert ask(store, two, SKY, now=49.0) == [Reply(by="somebody elsewhere")]
    assert ask(store, two, SKY, now=50.0) == [Reply(mine=True, left=True)]


def test_a_claim_of_a_dead_process_is_void_at_once(store):
    one, two = drive(store, "one", DEAD), drive(store, "two")
    ask(store, one, SKY)
    assert ask(store, two, SKY) == [Reply(mine=True, left=True)]


def test_a_claim_ends_when_its_run_is_given_back_taken_over_or_deleted(store):
    one, two = drive(store, "one"), drive(store, "two")
    ask(store, one, SKY)
    store.release(one, RunStatus.INTERRUPTED, 2.0)
    assert store.claims() == {}
    again = store.acquire("one", ALIVE, TTL_S, 2.0)
    ask(store, again, SKY)
    store.commit(again, 1, [ROW], 2.0, ending=Ending(RunStatus.DONE))
    assert store.claims() == {}
    again = store.acquire("one", ALIVE, TTL_S, 3.0)
    ask(store, again, SKY)
    newer = store.acquire("one", ALIVE, TTL_S, 4.0, take_over=True)
    assert ask(store, two, SKY, now=4.0) == [Reply(mine=True)]
    ask(store, newer, SEA, now=4.0)
    store.release(newer, RunStatus.DONE, 5.0)
    store.delete_run("one", 5.0)
    assert list(store.claims()) == [SKY]


def test_a_driver_that_lost_its_run_claims_nothing(store):
    one = drive(store, "one")
    store.acquire("one", ALIVE, TTL_S, 1.0, take_over=True)
    with pytest.raises(LeaseLost):
        ask(store, one, SKY)
    assert store.claims() == {}


def test_a_driver_that_lost_its_run_ends_no_claim_of_the_next_one(store):
    one = drive(store, "one")
    newer = store.acquire("one", ALIVE, TTL_S, 1.0, take_over=True)
    ask(store, newer, SKY)
    store.release(one, RunStatus.DONE, 2.0)
    assert list(store.claims()) == [SKY]


def test_a_claim_of_a_clock_that_was_set_back_lasts_no_longer_than_a_lease(store):
    one = drive(store, "one", "somebody elsewhere", now=1e6)
    two = drive(store, "two", now=1.0)
    store.claim(one, [Wish(SKY)], 1e6)
    assert ask(store, two, SKY, now=1.0) == [Reply(by="somebody elsewhere")]
    assert ask(store, two, SKY, now=30.0) == [Reply(by="somebody elsewhere")]
    assert ask(store, two, SKY, now=31.0) == [Reply(mine=True, left=True)]


def test_whoever_would_close_a_circle_is_told_to_compute_alone(store):
    one, two, three = (drive(store, name) for name in ("one", "two", "three"))
    for lease, name in ((one, SKY), (two, SEA), (three, SUN)):
        assert ask(store, lease, name) == [Reply(mine=True)]
    assert ask(store, one, SEA, waits={SKY: [SEA]}) == [Reply(by=ALIVE)]
    assert ask(store, two, SUN, waits={SEA: [SUN]}) == [Reply(by=ALIVE)]
    assert ask(store, three, SKY, waits={SUN: [SKY]}) == [Reply(alone=True)]
    assert store.claims()[SKY].run == one.uid
    assert ask(store, two, SUN, waits={SEA: ()}) == [Reply(by=ALIVE)]  # it has found another way
    assert ask(store, three, SKY, waits={SUN: [SKY]}) == [Reply(by=ALIVE)]


def test_a_circle_through_a_dead_process_is_none(store):
    one, two = drive(store, "one", DEAD), drive(store, "two")
    ask(store, one, SKY)
    ask(store, two, SEA)
    ask(store, one, SEA, waits={SKY: [SEA]})
    assert ask(store, two, SKY, waits={SEA: [SKY]}) == [Reply(mine=True, left=True)]


def test_of_many_that_ask_at_once_one_computes(openings):
    stores = [openings() for _ in range(6)]
    leases = [drive(store, f"run {n}") for n, store in enumerate(stores)]
    names = [bytes([n]) * 16 for n in range(4)]
    found = all_at_once(*(lambda n=n: ask(stores[n], leases[n], *names) for n in range(6)))
    for replies in zip(*found, strict=True):
        assert sorted(reply.mine for reply in replies) == [False] * 5 + [True]


@dataclass
class Told:
    """What a history must have come to: who holds which name, and which names have a result."""

    holders: dict[bytes, str] = field(default_factory=dict)
    results: dict[bytes, Row] = field(default_factory=dict)
    seqs: dict[str, int] = field(default_factory=dict)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "ask", "ask", "commit", "fail", "release", "acquire", "lapse"]),
        st.integers(0, 2),
        st.integers(0, 3),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_any_history_of_claims_gives_each_name_to_one_run_until_it_ends_or_has_a_result(store, steps):
    turn, now, told = next(numbers), 0.0, Told()
    names = [bytes([n]) * 12 + turn.to_bytes(4, "big") for n in range(4)]
    runs = [f"{turn} {n}" for n in range(3)]
    owners = {run: f"{run} elsewhere" for run in runs}
    leases: dict[str, Lease | None] = {run: drive(store, run, owners[run], now) for run in runs}
    until = dict.fromkeys(runs, TTL_S)
    for what, who, which in steps:
        now += 1.0
        run, name = runs[who], names[which]
        lease = leases[run]
        if what == "acquire" and lease is None:
            leases[run], until[run] = store.acquire(run, owners[run], TTL_S, now), now + TTL_S
        if lease is None:
            continue
        if what == "ask":
            holder = told.holders.get(name)
            (reply,) = ask(store, lease, name, now=now)
            if name in told.results:
                assert reply == Reply(row=told.results[name])
            elif holder in (None, run) or until[holder] <= now:
                assert reply.mine
                assert reply.left == (holder not in (None, run))
                told.holders[name] = run
            else:
                assert reply == Reply(by=owners[holder])
        elif what == "commit":
            told.seqs[run] = seq = told.seqs.get(run, 0) + 1
            told.results[name] = row = Row(3, name, b"\0" * 16, f"{run} {seq}".encode())
            store.commit(lease, seq, [row], now, cache=[(name, row)])
            if told.holders.get(name) == run:
                del told.holders[name]
        elif what == "fail":
            ask(store, lease, now=now, done=[name])
            if told.holders.get(name) == run:
                del told.holders[name]
        elif what == "release":
            store.release(lease, RunStatus.INTERRUPTED, now)
            leases[run] = None
            told.holders = {name: holder for name, holder in told.holders.items() if holder != run}
        elif what == "lapse":
            now += TTL_S / 2
            store.renew(lease, now)
            until[run] = now + TTL_S
        uids = {store.run(name).uid: name for name in runs}
        found = {name: uids[claim.run] for name, claim in store.claims().items() if claim.run in uids}
        assert found == told.holders


LOOKS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 4), st.booleans()), max_size=40)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(looks=LOOKS)
def test_whatever_runs_come_to_wait_for_no_circle_of_them_is_left_waiting(store, looks):
    turn = next(numbers)
    names = [bytes([n]) * 12 + turn.to_bytes(4, "big") for n in range(5)]
    leases = [drive(store, f"{turn} {n}") for n in range(4)]
    held: list[set[bytes]] = [set() for _ in leases]
    waits: list[dict[bytes, set[bytes]]] = [{} for _ in leases]  # by run: which of its names needs which of others
    for who, above, below, ends in looks:
        mine, needs = held[who], waits[who]
        needs.setdefault(names[above], set()).add(names[below])
        if ends:
            needs.pop(names[above])
        told = {name: tuple(sorted(needs.get(name, ()))) for name in mine}
        wanted = sorted({names[above], *(name for others in told.values() for name in others)} - mine)
        replies = store.claim(leases[who], [Wish(name) for name in wanted], 1.0, waits=told)
        for name, reply in zip(wanted, replies, strict=True):
            if reply.mine:
                mine.add(name)
            if reply.mine or reply.alone:
                for others in needs.values():
                    others.discard(name)
        edges = {name: waits[run].get(name, set()) & set().union(*held) - held[run] for run in range(4) for name in held[run]}
        published = {name: set(claim.waits) for name, claim in store.claims().items() if name in edges}
        graph = {name: edges[name] & published[name] for name in edges}
        graphlib.TopologicalSorter(graph).prepare()  # raises CycleError
