"""Seeded bugs of stores on other machines: of commits whose answer is lost, of leases by several clocks, of what drivers share."""

from __future__ import annotations

from seeded import Bug, bug

OF_FAR_STORES: tuple[Bug, ...] = (
    bug(
        "a commit whose answer was lost is taken for durable",
        "commit_surely",
        "if not may_pass(error): raise",
        "return Standing.DURABLE",
    ),
    bug(
        "a commit whose answer was lost ends its run",
        "commit_surely",
        "if not may_pass(error): raise",
        "raise",
    ),
    bug(
        "a commit whose answer was lost is taken for one that was not made",
        "commit_surely",
        "is_unknown |= isinstance(error, ConnectionLost)",
        "",
    ),
    bug(
        "an earlier try of a commit is forgotten when the next is answered",
        "commit_surely",
        "broke: StoreError | None = None",
        "broke, is_unknown = None, False",
    ),
    bug(
        "rows that another driver wrote in their place are taken for a driver's own",
        "outcome:judge",
        "list(found.sums) == list(sent.sums)",
        "len(found.sums) == len(sent.sums)",
    ),
    bug(
        "a driver that was overtaken is told that its rows are durable",
        "outcome:judge",
        "if not held: return Standing.LOST",
        "if not held: return Standing.DURABLE",
    ),
    bug(
        "a driver that was overtaken is not told so",
        "outcome:judge",
        "if not held: return Standing.LOST",
        "",
    ),
    bug(
        "a commit that comes a second time is taken for new rows",
        "MemoryStore.commit",
        "run.nrows != first_seq - 1",
        "run.nrows < first_seq - 1",
    ),
    bug(
        "rows are durable after the store went back behind what they follow",
        "MemoryStore.commit",
        "run.nrows != first_seq - 1",
        "run.nrows > first_seq - 1",
    ),
    bug(
        "a driver is not told that the store went back",
        "outcome:judge",
        "if reported and ((held and run.nrows < reported) or run.fence < lease.fence): ...",
        "",
    ),
    bug(
        "a lease is judged by the clock of whoever asks",
        "measure_ahead",
        "return ahead_s if abs(ahead_s) > max(ended - began, 0.05) else 0.0",
        "return 0.0",
    ),
    bug(
        "the clocks are compared the wrong way round",
        "measure_ahead",
        "server - (began + ended) / 2",
        "(began + ended) / 2 - server",
    ),
    bug(
        "a run is given back by a driver that was overtaken",
        "memory:MemoryStore.release",
        "run = self._find_held(lease)",
        "run = self._runs.get(lease.run_id)",
    ),
    bug(
        "a run changes hands under the fence it had",
        "memory:MemoryStore.acquire",
        "fence=run.fence + 1",
        "fence=run.fence",
    ),
    bug(
        "a place in a limit is counted when it is a moment old",
        "limits:_fair_share",
        "sum(place.amount for place in others.values())",
        "sum(place.amount for place in others.values() if board.at - place.since > 0.3)",
    ),
    bug(
        "the places of a driver that can't be seen from here are free",
        "Place.is_over",
        "alive is None and self.until <= now",
        "alive is None",
    ),
    bug(
        "signals are numbered before they are committed",
        "memory:MemoryStore.send_signal",
        "self._last_signal = number = self._last_signal + 1",
        "self._last_signal += 1\nnumber = self._last_signal + (1 if self._last_signal % 2 else -1)",
    ),
    bug(
        "a claim stands after its lease is over",
        "claims:stands",
        "return holder.lease_until > now and lives(holder.owner) is not False",
        "return lives(holder.owner) is not False",
    ),
    bug(
        "a claim falls while its driver lives",
        "claims:stands",
        "return holder.lease_until > now and lives(holder.owner) is not False",
        "return holder.lease_until > now + 25 and lives(holder.owner) is not False",
        tests="sim/test_single_flight.py::test_a_computation_that_takes_longer_than_a_lease_keeps_its_claim",
    ),
    bug(
        "a stopped call that was to hear of its stop holds up the end of a run whose store fails",
        "Lifecycle.cancel",
        "if self._run.closing and call.state == READY: ...",
        "",
        tests="proof/test_far.py::test_a_far_store_that_once_found_a_fault_finds_none",
    ),
    # of queues
    bug(
        "a queue's limit is counted from what was there a moment ago",
        "MemoryQueues.take_jobs",
        "if one.state is JobState.TAKEN: ...",
        "if one.state is JobState.TAKEN and self._runs[one.run_id].owned_since < now - 2: ...",
    ),
    bug(
        "a key may have one more than its limit",
        "queues:pick",
        "by_key.get(key, 0) < room.key_limit",
        "by_key.get(key, 0) <= room.key_limit",
    ),
    bug(
        "a job is claimed under the fence that its run had",
        "MemoryQueues._take",
        "fence=run.fence + 1",
        "fence=run.fence",
    ),
    bug(
        "a parked run holds its slot",
        "MemoryQueues.take_jobs",
        "if one.state is JobState.TAKEN: ...",
        "if one.state in (JobState.TAKEN, JobState.PARKED): ...",
    ),
    bug(
        "only the first drivers of runs are swept, as at a launch",
        "MemoryQueues.sweep_jobs",
        "one.state is JobState.TAKEN and (run.lease_until <= now or self._lives(run.owner) is False)",
        "one.state is JobState.TAKEN and now < 1_700_000_060 and (run.lease_until <= now or self._lives(run.owner) is False)",
    ),
    bug(
        "a run whose job was swept is still its old driver's",
        "MemoryQueues.sweep_jobs",
        'self._change(run, owner="", lease_until=0.0, status=RunStatus.INTERRUPTED)',
        "",
    ),
    bug(
        "a signal that came while a run was being parked does not wake it",
        "queues:go_on",
        "newest_signal > after.seen or ended or after.at <= now",
        "ended or after.at <= now",
    ),
    bug(
        "a signal does not wake a parked run",
        "MemoryQueues._wake_job",
        "one.wait(now)",
        "",
    ),
    bug(
        "a job is tried once more than it may die",
        "queues:bury",
        "deaths >= settings.deaths",
        "deaths > settings.deaths",
    ),
    bug(
        "the job of a run that has ended stays",
        "MemoryQueues._end_job",
        "self._jobs.pop(run.uid, None)",
        "",
    ),
    bug(
        "a store that can't be used while a run is started is the failure of the call",
        "_Started._ask",
        "self._engine.run.fail(error)",
        "None",
    ),
    bug(
        "a run that starts others is not woken by their end",
        "MemoryQueues._end_job",
        "self._wake_waiters(run.spec.run_id, now)",
        "",
    ),
)
