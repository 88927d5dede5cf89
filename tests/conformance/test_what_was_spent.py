"""The ledger as it is read from a store's rows, against one that watched the money go.

A history of calls is played: they reserve, charge, fail, end and die, in budgets within budgets. The rows are what the runtime
would write (the whole cost of the call so far, and what it holds). The oracle never sees a row: it counts each amount when it
is spent, in the budgets that are around it then. An edit may have moved them since.
"""

import itertools
from collections import defaultdict

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.journal.decisions import BudgetOpened, Decision, Now
from headway.journal.records import COSTED, NO_PARENT, Attempt, Charge, Error, Kind, Outcome, Row, RunSpec, Start, Status
from headway.journal.recovery.recovered import encode_body, load

PARENTS = {b"": None, b"A" * 16: b"", b"B" * 16: b"A" * 16, b"C" * 16: b"A" * 16, b"D" * 16: b"C" * 16}  # budget: the one around it
MOVES = {b"B" * 16: (b"", b"A" * 16, b"C" * 16), b"D" * 16: (b"A" * 16, b"C" * 16), b"C" * 16: (b"", b"A" * 16)}
numbers = itertools.count()
UNITS = ("tokens", "calls")


class Play:
    """Plays calls; `rows` is what the journal gets of it, `spent` and `held` where the money is, by (call, budget), and `gone` what
    each budget has seen of it."""

    def __init__(self) -> None:
        self.rows = []
        self.around = dict(PARENTS)
        self.moved = False
        self.counted = defaultdict(lambda: dict.fromkeys(UNITS, 0.0))
        self.gone = defaultdict(float)
        for scope, parent in PARENTS.items():
            if parent is not None:
                self.open(scope, parent)
        self.spent = defaultdict(lambda: dict.fromkeys(UNITS, 0.0))
        self.held = defaultdict(lambda: dict.fromkeys(UNITS, 0.0))

    def open(self, scope, parent):
        self.rows.append(
            Row(Kind.DECISION | COSTED, scope, NO_PARENT, encode_body(Decision(BudgetOpened(parent, {"tokens": 9.0}), 0.0)))
        )
        self.moved |= self.around[scope] != parent
        self.around[scope] = parent

    def count(self, call, scope):
        """Count what has changed in a budget, and in those that are around it now."""
        for unit in UNITS:
            taken = self.spent[call, scope][unit] + (self.held[call, scope][unit] if (call, scope) in self.held else 0.0)
            inner, change = scope, taken - self.counted[call, scope][unit]
            self.counted[call, scope][unit] = taken
            while inner:
                self.gone[inner, unit] += change
                inner = self.around[inner]

    def write(self, kind, call, body):
        self.rows.append(Row(kind | COSTED, call, NO_PARENT, encode_body(body)))

    def assume(self, call):
        """The call died: what it holds counts as spent."""
        for (other, scope), held in self.held.items():
            if other == call:
                for unit in UNITS:
                    self.spent[call, scope][unit] += held[unit]
                    held[unit] = 0.0

    def start(self, call, scope, amounts):
        self.assume(call)
        self.held[call, scope] = amounts
        self.write(Kind.START, call, Start("t", "", 1, 0, 1.0, scope, dict(self.spent[call, scope]), dict(amounts)))
        self.count(call, scope)

    def charge(self, call, scope, amounts):
        for unit in UNITS:
            self.spent[call, scope][unit] += amounts[unit]
            self.held[call, scope][unit] = max(0.0, self.held[call, scope][unit] - amounts[unit])
        self.write(Kind.CHARGE, call, Charge("t", scope, dict(self.spent[call, scope])))
        self.count(call, scope)

    def end(self, call, scope, amounts, status):
        """The call ends, having spent `amounts` more; what it had not used goes back."""
        self.held.pop((call, scope), None)
        self.assume(call)  # it had started elsewhere: that attempt died, and this is another one
        for unit in UNITS:
            self.spent[call, scope][unit] += amounts[unit]
        cost = dict(self.spent[call, scope])
        if status is None:
            self.write(Kind.ATTEMPT, call, Attempt("t", "", 1, 1, 1.0, 2.0, Error("builtins:ValueError", "no"), 3.0, scope, cost))
        else:
            self.write(Kind.OUTCOME, call, Outcome("t", "", status, 1.0, 2.0, scope=scope, cost=cost))
        self.count(call, scope)

    def total(self):
        """What each budget says is gone: its own, and what was spent below it."""
        return {place: amount for place, amount in self.gone.items() if amount}


def totals_read(store, uid):
    return {
        (scope, unit): amount
        for scope, amounts in load(store, uid).ledger.spent().items()
        for unit, amount in amounts.items()
        if amount
    }


amounts = st.fixed_dictionaries({unit: st.integers(0, 9).map(float) for unit in UNITS})
endings = st.sampled_from([None, Status.OK, Status.ERROR, Status.CANCELLED])
steps = st.tuples(
    st.sampled_from(["start", "charge", "end", "move"]),
    st.integers(0, 2),
    st.sampled_from(list(PARENTS)),
    amounts,
    endings,
    st.booleans(),
)  # what, which call, in which budget, how much, how it ends, and whether a commit follows


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=st.lists(steps, max_size=25))
def test_what_the_rows_of_a_run_say_was_spent_is_what_was_spent_and_never_counted_twice(store, history):
    run_id = f"run-{next(numbers)}"
    uid = store.create_run(RunSpec(run_id=run_id, task="t")).uid
    lease = store.acquire(run_id, "me", 30.0, 0.0)
    play, done = Play(), 0
    for what, call, scope, much, status, commit in history:
        key = bytes([call + 1]) * 16
        if what == "start":
            play.start(key, scope, much)
        elif what == "charge":
            play.charge(key, scope, much)
        elif what == "end":
            play.end(key, scope, much, status)
        elif scope in MOVES:
            play.open(scope, MOVES[scope][call % len(MOVES[scope])])
        if commit:
            store.commit(lease, done + 1, play.rows[done:], 1.0)
            done = len(play.rows)
            assert totals_read(store, uid) == play.total()
    store.commit(lease, done + 1, play.rows[done:], 1.0)
    assert totals_read(store, uid) == totals_read(store, uid) == play.total()

    fork = store.fork_run(RunSpec(run_id=f"{run_id}-fork", task="t"), uid, lambda seq, row: True)
    assert totals_read(store, fork.uid) == play.total()
    if not play.moved:
        store.commit(lease, len(play.rows) + 1, play.rows, 2.0)  # a resumed run that tells everything again
        assert totals_read(store, uid) == play.total()


def test_a_call_that_runs_again_is_counted_at_its_newest_cost(store, lease):
    scope, call = b"A" * 16, b"1" * 16
    rows = [
        Row(Kind.OUTCOME | COSTED, call, NO_PARENT, encode_body(Outcome("t", "", 0, 1.0, 2.0, scope=scope, cost={"tokens": cost})))
        for cost in (5.0, 8.0)
    ]
    store.commit(lease, 1, rows, 1.0)
    assert load(store, lease.uid).ledger.spent() == {scope: {"tokens": 8.0}}


def test_what_was_answered_and_decided_last_is_what_is_known(store, lease):
    call, decision = b"1" * 16, b"2" * 16
    answers = [encode_body(Outcome("t", "", 0, 1.0, 2.0, value=bytes([number]))) for number in range(3)]
    told = [encode_body(Decision(Now(float(number)), 0.0)) for number in range(3)]
    store.commit(lease, 1, [Row(Kind.OUTCOME, call, NO_PARENT, answers[0]), Row(Kind.DECISION, decision, call, told[0])], 1.0)
    store.commit(lease, 3, [Row(Kind.OUTCOME, call, NO_PARENT, answers[1])], 1.0)
    store.commit(lease, 4, [Row(Kind.DECISION, decision, call, told[2]), Row(Kind.OUTCOME, call, NO_PARENT, answers[2])], 1.0)
    known = load(store, lease.uid)
    assert known.outcomes == {call: (5, answers[2])}
    assert known.decisions == {decision: told[2]}
    assert known.last_seq == 5
