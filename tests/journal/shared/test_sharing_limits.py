"""The rule by which processes share limits: never too many, nobody starves, nothing is lost with a process or by a clock."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from headway.journal.shared.limits import TURN_S, Ask, Board, Grant, Rate, Want, share_out

START = 1e6
TTL_S = 120.0


@dataclass
class Shared:
    """A store of boards, and a clock that may be set."""

    boards: dict[str, Board] = field(default_factory=dict)
    now: float = START  # true seconds
    skew: float = 0.0
    dead: set[str] = field(default_factory=set)

    def share(self, holder: str, asks: list[Ask], wants: list[Want]) -> dict[str, Grant]:
        alive = lambda other: other not in self.dead  # noqa: E731 - short, and used once
        grants, after = share_out(self.boards, holder, asks, wants, self.now + self.skew, TTL_S, alive)
        self.boards |= after
        return grants


@dataclass
class Process:
    """What a desk does, in a few lines: one limit of places and one of starts, under one name."""

    name: str
    shared: Shared
    capacity: int | None
    rate: Rate | None
    used: int = 0
    grant: Grant = field(default_factory=Grant)
    then: float = 0.0
    starts: int = 0
    begun: list[float] = field(default_factory=list)

    def ask(self, calls: int) -> None:
        began = tuple(self.shared.now - at for at in self.begun)
        said = Ask("api", self.capacity, self.used, self.used + calls, self.rate, began, ahead=len(began) if calls else 0)
        self.then = self.shared.now
        self.grant = self.shared.share(self.name, [said], [Want(("api",), calls)] if calls else [])["api"]
        self.begun, self.starts = [], self.grant.starts

    def can_start(self) -> bool:
        if self.capacity is not None and self.used >= self.grant.room:
            return False
        if self.rate is None:
            return True
        return self.starts > 0 and self.then + self.grant.begin_in_s <= self.shared.now <= self.then + self.grant.end_in_s

    def start(self) -> bool:
        if not self.can_start():
            return False
        self.used += 1
        if self.rate is not None:
            self.starts -= 1
            self.begun.append(self.shared.now)
        return True


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "ask", "start", "start", "start", "end", "die", "set back"]),
        st.integers(0, 2),
        st.integers(0, 4),
        st.floats(0, 1.5),
    ),
    max_size=80,
)


@given(steps=STEPS, capacity=st.integers(1, 4))
def test_all_processes_together_never_use_more_places_than_there_are(steps, capacity):
    shared = Shared()
    processes = [Process(f"p{number}", shared, capacity, None) for number in range(3)]
    for what, who, number, seconds in steps:
        shared.now += seconds
        process = processes[who]
        if what == "ask":
            process.ask(number)
        elif what == "start":
            process.start()
        elif what == "end":
            process.used = max(0, process.used - 1)
        elif what == "set back":
            shared.skew -= 3600.0 * number
        else:
            shared.dead.add(process.name)
            processes[who] = Process(f"{process.name}'", shared, capacity, None)
        assert sum(each.used for each in processes) <= capacity


@given(steps=STEPS, most=st.integers(1, 4), length_s=st.floats(0.5, 8))
def test_no_window_holds_more_starts_of_all_processes_together_than_the_rate(steps, most, length_s):
    shared, rate, times = Shared(), Rate(most, length_s), []
    processes = [Process(f"p{number}", shared, None, rate) for number in range(3)]
    for what, who, number, seconds in steps:
        shared.now += seconds
        process = processes[who]
        if what == "ask":
            process.ask(number)
            shared.now += max(0.0, process.grant.begin_in_s) if number == 4 else 0.0
        elif what == "start":
            times += [shared.now] * process.start()
        elif what == "set back":
            shared.skew -= 3600.0 * number
        elif what == "die":  # with what it had begun and not told
            shared.dead.add(process.name)
            processes[who] = Process(f"{process.name}'", shared, None, rate)
    for first in times:
        assert sum(first <= other < first + length_s - 1e-6 for other in times) <= most


def test_one_process_alone_reaches_its_rate_over_a_long_time():
    shared = Shared()
    process, began, first = Process("p", shared, None, Rate(10, 1.0)), 0, START
    while began < 1000:
        process.ask(50)
        shared.now = max(shared.now, process.then + process.grant.begin_in_s)
        while process.start():
            process.used -= 1
            began += 1
        shared.now += 0.002
    assert 99.0 <= shared.now - first <= 101.0


def test_two_processes_share_a_rate_without_losing_much_of_it():
    shared = Shared()
    processes, began = [Process(name, shared, None, Rate(10, 1.0)) for name in "ab"], {"a": 0, "b": 0}
    while sum(began.values()) < 1000:
        for process in processes:
            if not process.starts or shared.now > process.then + process.grant.end_in_s:
                process.ask(50)
            while process.start():
                process.used -= 1
                began[process.name] += 1
        shared.now += 0.005
    assert shared.now - START <= 110.0
    assert min(began.values()) >= 400


def test_who_waits_gets_its_share_as_calls_end_and_unused_places_at_once():
    shared = Shared()
    first, second = Process("a", shared, 10, None), Process("b", shared, 10, None)
    first.ask(10)
    while first.start():
        pass
    assert first.used == 10
    second.ask(7)
    assert second.grant.room == 0
    first.used -= 2
    first.ask(5)
    assert (first.grant.room, first.grant.contended) == (5, True)
    second.ask(7)
    assert second.grant.room == 2
    first.used = 1
    first.ask(0)
    second.ask(7)
    assert second.grant.room == 7


def test_places_that_are_kept_for_later_are_given_up_where_somebody_waits():
    shared = Shared()
    keeps = [Ask("api", 10, used=1, keep=8)]
    assert shared.share("a", [Ask("api", 10, keep=8)], [Want(("api",), 1)])["api"].room == 8
    assert shared.share("b", [Ask("api", 10)], [Want(("api",), 5)])["api"].room == 2
    assert shared.share("a", keeps, [])["api"] == Grant(amount=1, room=1, contended=True)
    assert shared.share("b", [Ask("api", 10, used=2)], [Want(("api",), 7)])["api"].room == 9


def test_what_a_process_was_promised_and_died_with_counts_as_begun():
    shared, rate = Shared(), Rate(2, 10.0)
    first, second = Process("a", shared, None, rate), Process("b", shared, None, rate)
    first.ask(2)
    assert first.start()
    shared.dead.add("a")
    shared.now += 1.0
    second.ask(2)
    assert second.grant.begin_in_s == 9.5, "ten seconds after the last moment at which the first could have begun"
    assert second.grant.starts == 2


def test_where_there_is_one_place_processes_take_turns():
    shared = Shared()
    processes, ran = [Process(name, shared, 1, None) for name in "abc"], []
    for _ in range(200):
        for process in processes:
            process.ask(3)
            if process.start():
                ran.append(process.name)
            shared.now += 0.05
            process.used = 0
    turns = [name for place, name in enumerate(ran) if place == 0 or ran[place - 1] != name]
    assert all({*turns[place : place + 3]} == {"a", "b", "c"} for place in range(len(turns) - 2))
    assert len(ran) / len(turns) >= 2, "a turn is too short to be worth its transactions"
    assert TURN_S > 0.1


def test_nobody_holds_one_place_while_waiting_for_another():
    shared = Shared()
    asks = [Ask("x", 1, keep=1), Ask("y", 1, keep=1)]
    both = [Want(("x", "y"), 1)]
    assert [grant.room for grant in shared.share("a", [Ask("x", 1)], [Want(("x",), 1)]).values()] == [1]
    grants = shared.share("b", asks, both)
    assert [grant.room for grant in grants.values()] == [0, 0]
    assert shared.share("c", [Ask("y", 1)], [Want(("y",), 1)])["y"].room == 1


def test_a_clock_that_is_set_back_delays_nothing_longer_than_it_was_to_last():
    shared = Shared()
    process, other = Process("a", shared, 1, Rate(2, 10.0)), Process("b", shared, 1, Rate(2, 10.0))
    process.ask(1)
    assert process.start()
    shared.skew -= 5 * 3600.0
    other.ask(1)
    assert other.grant.room == 0
    process.used = 0
    process.ask(0)
    other.ask(2)
    assert other.grant.begin_in_s <= 10.0
    shared.now += 11.0
    other.ask(2)
    assert (other.grant.room, other.grant.begin_in_s) == (1, 0.0)


def test_places_of_a_process_out_of_sight_last_their_time_whatever_the_clock_does():
    shared, unknown = Shared(), lambda _: None
    for now, room in ((START, 0), (START - 7200.0, 0), (START - 7200.0 + TTL_S, 1)):
        if now == START:
            _, shared.boards = share_out({}, "elsewhere", [Ask("api", 1)], [Want(("api",), 1)], now, TTL_S, unknown)
        grants, after = share_out(shared.boards, "here", [Ask("api", 1)], [Want(("api",), 1)], now, TTL_S, unknown)
        shared.boards = after
        assert grants["api"].room == room
