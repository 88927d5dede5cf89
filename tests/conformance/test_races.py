"""Many at once: whatever they ask for at the same moment, they are answered as if they had come one after another."""

from midway import all_at_once

from headway.errors import RunOwned
from headway.journal.records import Lease, Row, RunSpec, RunStatus
from headway.journal.shared.limits import Ask, Rate, Want
from headway.storage.blobs import hash_blob

MANY = 8


def test_one_of_many_that_create_a_run_makes_it_and_all_get_it(openings):
    stores = [openings() for _ in range(MANY)]
    made = all_at_once(*(lambda number=n: stores[number].create_run(RunSpec(run_id="sky", task=f"t{number}")) for n in range(MANY)))
    assert len(set(map(repr, made))) == 1
    assert stores[0].runs() == [made[0]]


def test_one_of_many_drivers_gets_a_free_run(openings):
    stores = [openings() for _ in range(MANY)]
    stores[0].create_run(RunSpec(run_id="sky", task="t"))
    found = all_at_once(*(lambda number=n: stores[number].acquire("sky", f"driver {number}", 30.0, 0.0) for n in range(MANY)))
    (lease,) = [one for one in found if isinstance(one, Lease)]
    assert [type(one) for one in found if one is not lease] == [RunOwned] * (MANY - 1)
    assert stores[0].run("sky").owner == lease.owner


def test_drivers_that_all_take_over_have_a_fence_each_and_the_highest_one_drives(openings):
    stores = [openings() for _ in range(MANY)]
    stores[0].create_run(RunSpec(run_id="sky", task="t"))
    leases = all_at_once(
        *(lambda number=n: stores[number].acquire("sky", f"driver {number}", 30.0, 0.0, take_over=True) for n in range(MANY))
    )
    assert len({lease.fence for lease in leases}) == MANY
    newest = max(leases, key=lambda lease: lease.fence)
    assert (stores[0].run("sky").owner, stores[0].run("sky").fence) == (newest.owner, newest.fence)


def test_no_more_than_the_capacity_get_a_place(openings):
    stores = [openings() for _ in range(MANY)]
    asks, want = [Ask("gpu", capacity=3)], [Want(("gpu",), 1)]
    for now in range(0, 120, 20):  # the places of one round are over in the next
        jobs = [lambda number=n, now=now: stores[number].share(f"{now} {number}", asks, want, now, 10.0) for n in range(MANY)]
        assert sorted(grants["gpu"].room for grants in all_at_once(*jobs)) == [0] * (MANY - 3) + [1] * 3


def test_every_one_of_many_is_promised_its_own_start(openings):
    stores = [openings() for _ in range(MANY)]
    for name in ("api", "tool", "page"):
        said = ([Ask(name, rate=Rate(2, 10.0))], [Want((name,), 1)], 0.0, 30.0)
        grants = all_at_once(*(lambda number=n, said=said: stores[number].share(f"{number}", *said) for n in range(MANY)))
        assert sorted(grant[name].begin_in_s for grant in grants) == [0.0, 0.0, 10.5, 10.5, 21.0, 21.0, 31.5, 31.5]
        assert all(grant[name].starts == 1 for grant in grants)


def test_one_blob_put_by_many_is_there_once_and_whole(openings):
    stores = [openings() for _ in range(MANY)]
    data = bytes(range(256)) * 2000
    digest = hash_blob(data)
    assert all_at_once(*(lambda number=n: stores[number].put_blob(digest, data) for n in range(MANY))) == [None] * MANY
    assert all(bytes(store.get_blob(digest)) == data for store in stores)


def test_many_drivers_write_their_own_runs_at_once(openings):
    stores = [openings() for _ in range(MANY)]

    def drive(number):
        store = stores[number]
        uid = store.create_run(RunSpec(run_id=f"run-{number}", task="t")).uid
        lease = store.acquire(f"run-{number}", "somebody", 30.0, 0.0)
        for seq in range(1, 16):
            store.commit(lease, seq, [Row(3, bytes([number]) * 16, b"\0" * 16, b"%d" % seq)], 0.0)
        store.release(lease, RunStatus.DONE, 1.0)
        return uid

    uids = all_at_once(*(lambda number=n: drive(number) for n in range(MANY)))
    assert len(set(uids)) == MANY
    for number, uid in enumerate(uids):
        assert stores[-1].run(f"run-{number}").status is RunStatus.DONE
        expected = [(seq, Row(3, bytes([number]) * 16, b"\0" * 16, b"%d" % seq)) for seq in range(1, 16)]
        assert list(stores[-1].rows(uid)) == expected
