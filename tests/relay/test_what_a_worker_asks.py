"""Each promise to code in a worker that makes calls, simulated."""

from __future__ import annotations

from typing import Any

import asking
import pytest
from bodies import DONE

from headway.sim.config import STEADY
from headway.sim.history import History

ONE = {"pools": {"process": 1}}


def outcome(root: Any, *args: Any, **options: Any) -> Any:
    """How a simulated run of one worker ends: its value, or its error."""
    history = History(1, STEADY)
    life = history.live(root, *args, **{**ONE, **options})
    history.check()
    assert not life.stuck, life.stuck
    assert not life.unfinished
    return life.value if life.error is None else life.error


def ends(history: History) -> list[Any]:
    return [event for event in history.lives[-1].event_log if type(event).__name__ == "CallEnded"]


@pytest.mark.parametrize("body", [asking.deep, asking.wide], ids=["deep", "wide"])
def test_bodies_that_wait_for_each_other_do_with_one_slot(body):
    assert outcome(body, 4) == {asking.deep: 4, asking.wide: 31}[body]


@pytest.mark.parametrize("name", sorted(asking.RETRIED_AWAY))
def test_an_attempt_after_a_failure_keeps_and_repeats_what_it_does_at_home(name):
    ran = []
    for where in (asking.RETRIED_HERE, asking.RETRIED_AWAY):
        DONE.clear()
        asking.TRIED.clear()
        ran.append((outcome(where[name]), sorted(DONE.values()), len(asking.TRIED)))
    assert ran[0] == ran[1]
    again = name == "by_itself"
    assert ran[0] == ([2] if again else [2, 2], [1, 1] if again else [1, 2], 0 if again else 1)


def test_an_error_of_a_child_is_raised_as_what_it_is():
    assert outcome(asking.catches) == [True, "Trouble", "a", "failed", True, False]


def test_a_body_that_returns_early_ends_when_its_children_have():
    history = History(1, STEADY)
    life = history.live(asking.leaves_early, **ONE)
    history.check()
    assert life.value == "early"
    assert [(end.task.rpartition(".")[2], end.status) for end in ends(history)] == [("linger", "ok"), ("leaves_early", "ok")]
    assert ends(history)[-1].at - ends(history)[-1].started >= 5


def test_an_error_that_a_body_leaves_unseen_fails_it():
    error = outcome(asking.leaves_a_failure)
    assert isinstance(error, ExceptionGroup)
    assert "calls failed that nobody awaited: bodies.fail" in str(error)


@pytest.mark.parametrize("body", ["waits_long", "waits_long_in_a_plain_function", "gathers_long"])
def test_a_body_that_is_cancelled_takes_its_children_with_it(body):
    history = History(1, STEADY)
    life = history.live(asking.stops, body, **ONE)
    history.check()
    assert life.value == "CallCancelled"
    status = {end.task.rpartition(".")[2]: end.status for end in ends(history)}
    assert status == {"linger": "cancelled", body: "cancelled", "stops": "ok"}
    assert ends(history)[-1].at - ends(history)[-1].started < 10


def test_a_wait_that_the_code_gives_up_stops_what_it_waited_for():
    history = History(1, STEADY)
    life = history.live(asking.gives_up, **ONE)
    history.check()
    assert life.value == "gave up"
    assert [(end.task.rpartition(".")[2], end.status) for end in ends(history)] == [("linger", "cancelled"), ("gives_up", "ok")]
    assert ends(history)[-1].at - ends(history)[-1].started < 5


def test_a_deadline_binds_what_is_called_inside_of_it():
    expired, lasted, left, error, other, after = outcome(asking.bounded_in_time)
    assert (expired, left, error, other, after) == (True, True, "DeadlineExceeded", False, float("inf"))
    assert 5 <= lasted < 6
    assert outcome(asking.bounded_in_time_plainly) == [True]


def test_a_budget_is_that_of_the_body_and_refuses_at_once():
    assert outcome(asking.with_fifteen) == [
        *(15.0, 1, 5.0, 2.0, "refused", "refused"),
        *({"tokens": 0.0, "calls": 0.0}, {"tokens": 1.0, "calls": 1.0}, False),
    ]


def test_a_wait_for_a_signal_ends_in_time():
    assert outcome(asking.waits_for_a_word) == "nobody said it"


def test_what_can_not_be_asked_is_refused_in_a_sentence():
    said = outcome(asking.is_refused)
    assert said["a race by a function of its own"].startswith("hw.race(accept=…) in a worker process: the driver runs the race")
    assert "is a stream, which can't be read in the worker process of asking.is_refused" in said["a stream"]
    assert "hw.anytime was opened in the worker process of asking.is_refused, where that can't be done" in said["anytime"]
    assert "hw.shielded was opened in a worker process" in said["a shield"]


def test_a_wrong_call_is_refused_where_it_is_made():
    thing, arguments, local, task = outcome(asking.asks_wrongly)
    assert thing.startswith("UsageError: argument 1 of asking.take is a Thing, which has no encoding, so a worker can't send it")
    assert arguments.startswith("WrongArguments")
    assert local == "went through: 1", "the simulator has one process, in which the task is known by its name"
    assert "can't send it to the run" in task


def test_options_of_a_call_hold():
    assert outcome(asking.names_its_calls) == ["A", False, 4]


def test_calls_that_a_body_holds_no_more_are_let_go():
    kept, last = outcome(asking.holds_nothing)
    assert last == 58
    assert kept <= 2


def test_blocks_of_helpers_are_their_own():
    assert outcome(asking.has_helpers) == [0, 2, 4]
