"""Failovers: a standby that lacks the last commits becomes the server, or one that commits wait for is gone."""

from __future__ import annotations

import time

from appenders import RUN, Appender, read_entry
from histories import Histories, find_violations, read_histories
from test_partitions import SOON_S, wait_for_more
from test_replies import wait_for
from wire import Proxy

from headway.journal.postgres.store import PostgresStore

LEASE_S = 4.0
REPLICATING = {"wal_level": "replica", "max_wal_senders": "4"}


def test_a_standby_that_lacks_the_last_commits_is_found_out_and_nothing_more_is_reported(make_server, schema, notes, crowd):
    primary = make_server(**REPLICATING)
    with Proxy(primary.port) as stream, Proxy(primary.port) as way:
        standby = primary.copy(f"host=127.0.0.1 port={stream.port} user=headway", hot_standby="on")
        try:
            client = Appender(f"{way.url}?{schema}", notes, "client", 1, lease_s=LEASE_S).start()
            crowd.append(client)
            wait_for_more(crowd)
            wait_for(lambda: standby.ask("SELECT to_regclass(%s)", f"{schema[7:]}.record")[0][0], "that the standby follows")
            wait_for(lambda: standby.ask(f"SELECT count(*) FROM {schema[7:]}.record")[0][0], "that the standby follows")
            stream.flows.clear()
            time.sleep(0.1)
            wait_for_more(crowd)
            way.target = standby.port  # as the name of the server is given to the new one
            primary.stop()
            standby.ask("SELECT pg_promote()")
            wait_for(lambda: client.heard, "that the client finds out")
            said = client.said.get("StoreDamaged", str(client.said))
            assert "the server went back to an earlier state, as after a failover to a standby that lacked the last commits" in said
            assert "Nothing more is reported as durable; resume the run" in said
            acknowledged = read_histories(sorted(notes.iterdir())).appends
            wait_for_more(crowd)
            client.stop()
            with PostgresStore(f"{standby.url}?{schema}") as store:
                final = [(seq, read_entry(row)) for seq, row in store.rows(store.run(RUN).uid)]
            there = {entry.name for _, entry in final}
            lost = [one for one in acknowledged if one.how == "ok" and one.entries[0].name not in there]
            assert lost, "the standby lacked nothing"
            told = read_histories(sorted(notes.iterdir()))
            kept = [one for one in told.appends if one.entries[0].name not in {gone.entries[0].name for gone in lost}]
            found = find_violations(Histories(kept), final)
            assert not found, found[:5]
            assert not [one for one in kept if one.how == "ok" and one.entries[0].name not in there]
        finally:
            stream.flows.set()
            client.ended.set()
            standby.remove()


def test_a_commit_that_no_longer_waits_for_its_standby_is_not_reported_as_durable(make_server, schema, notes, crowd):
    server = make_server(**REPLICATING)
    client = Appender(f"{server.url}?{schema}", notes, "client", 1, lease_s=LEASE_S).start()
    crowd.append(client)
    wait_for_more(crowd)
    server.set(synchronous_standby_names="nobody")
    waiting = "wait_event='SyncRep'"
    wait_for(lambda: server.backends(waiting), "that a commit waits for its standby")
    server.ask("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE " + waiting)
    wait_for(lambda: client.heard["StoreNotReplicated"], "that the client is told", SOON_S)
    assert "stopped waiting for its standbys: what was written last is on one server alone" in client.said["StoreNotReplicated"]
    server.set(synchronous_standby_names=None)
    server.ask("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE " + waiting)
    wait_for_more(crowd)
    client.stop()
    told = read_histories(sorted(notes.iterdir()))
    with PostgresStore(f"{server.url}?{schema}") as store:
        final = [(seq, read_entry(row)) for seq, row in store.rows(store.run(RUN).uid)]
    assert not find_violations(told, final)
    assert told.count()["info"] >= 1, "it was reported as durable"
