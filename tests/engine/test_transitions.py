"""The table by which calls move: each pair of state and event by itself, then random lives of trees of calls. No event loop."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.engine.transitions import (
    CANCELLED,
    CONCLUDING,
    FAILED,
    FINISHING,
    OK,
    READY,
    RESTING,
    RUNNING,
    STARTING,
    STATES,
    WAITING,
    Effect,
    Event,
    IllegalEvent,
    end_of_body,
    move,
)

EXPECTED = {
    (WAITING, Event.QUEUED): (READY, Effect.ENQUEUE),
    (WAITING, Event.POSTPONED): (RESTING, Effect.REST),
    (WAITING, Event.REFUSED): (CONCLUDING, Effect.CONCLUDE),
    (WAITING, Event.STOPPED): (WAITING, Effect.END_UNRUN),
    (WAITING, Event.BODY_ENDED): (CONCLUDING, Effect.CONCLUDE),
    (WAITING, Event.SUCCEEDED): (OK, Effect.DELIVER),
    (WAITING, Event.FAILED): (FAILED, Effect.DELIVER),
    (WAITING, Event.CANCELLED): (CANCELLED, Effect.DELIVER),
    (READY, Event.ADMITTED): (STARTING, Effect.LAUNCH),
    (READY, Event.REFUSED): (CONCLUDING, Effect.CONCLUDE),
    (READY, Event.STOPPED): (READY, Effect.END_UNRUN),
    (READY, Event.BODY_ENDED): (CONCLUDING, Effect.CONCLUDE),
    (READY, Event.BODY_BROKE): (FINISHING, Effect.STOP_CHILDREN),
    (STARTING, Event.BEGUN): (RUNNING, Effect.NOTHING),
    (STARTING, Event.STOPPED): (STARTING, Effect.END_UNRUN),
    (STARTING, Event.BODY_ENDED): (CONCLUDING, Effect.CONCLUDE),
    (STARTING, Event.BODY_LEFT): (FINISHING, Effect.NOTHING),
    (STARTING, Event.BODY_BROKE): (FINISHING, Effect.STOP_CHILDREN),
    (RUNNING, Event.STOPPED): (RUNNING, Effect.INTERRUPT),
    (RUNNING, Event.BODY_ENDED): (CONCLUDING, Effect.CONCLUDE),
    (RUNNING, Event.BODY_LEFT): (FINISHING, Effect.NOTHING),
    (RUNNING, Event.BODY_BROKE): (FINISHING, Effect.STOP_CHILDREN),
    (RESTING, Event.QUEUED): (READY, Effect.ENQUEUE),
    (RESTING, Event.STOPPED): (RESTING, Effect.END_UNRUN),
    (RESTING, Event.BODY_ENDED): (CONCLUDING, Effect.CONCLUDE),
    (RESTING, Event.BODY_BROKE): (FINISHING, Effect.STOP_CHILDREN),
    (FINISHING, Event.STOPPED): (FINISHING, Effect.STOP_CHILDREN),
    (FINISHING, Event.CHILDREN_ENDED): (CONCLUDING, Effect.CONCLUDE),
    (CONCLUDING, Event.STOPPED): (CONCLUDING, Effect.NOTHING),
    (CONCLUDING, Event.RETRIED): (RESTING, Effect.TRY_AGAIN),
    (CONCLUDING, Event.SUCCEEDED): (OK, Effect.DELIVER),
    (CONCLUDING, Event.FAILED): (FAILED, Effect.DELIVER),
    (CONCLUDING, Event.CANCELLED): (CANCELLED, Effect.DELIVER),
}
ENDED = (OK, FAILED, CANCELLED)
ALL_STATES = range(len(STATES))


@pytest.mark.parametrize("event", Event, ids=lambda event: event.name)
@pytest.mark.parametrize("state", ALL_STATES)
def test_an_event_moves_a_call_as_expected_or_is_refused(state, event):
    expected = EXPECTED.get((state, event))
    if expected is None:
        with pytest.raises(IllegalEvent, match=f"{STATES[state]} can't be told {event.name}"):
            move(state, event)
    else:
        assert move(state, event) == expected


def test_a_call_that_has_ended_hears_of_nothing_more():
    assert not [pair for pair in EXPECTED if pair[0] in ENDED]


def test_every_state_but_the_first_is_reached_and_every_effect_is_used():
    assert {state for state, _ in EXPECTED.values()} == set(ALL_STATES)
    assert {effect for _, effect in EXPECTED.values()} == set(Effect)


def test_a_body_that_leaves_children_does_not_conclude():
    for failed in (False, True):
        assert end_of_body(failed=failed, has_children=False) == Event.BODY_ENDED
        left = end_of_body(failed=failed, has_children=True)
        assert move(RUNNING, left).state == FINISHING
        assert (move(RUNNING, left).effect == Effect.STOP_CHILDREN) == failed


@dataclass(eq=False)
class Simulated:
    """A call as the table moves it; what the engine would do about effects is done here in the plainest way."""

    parent: Simulated | None = None
    state: int = WAITING
    children: set[Simulated] = field(default_factory=set)
    outcomes: int = 0
    asked_to_stop: bool = False

    def feed(self, event: Event) -> None:
        moved = move(self.state, event)
        self.state = moved.state
        match moved.effect:
            case Effect.END_UNRUN | Effect.INTERRUPT:
                self.end_body(failed=True)
            case Effect.STOP_CHILDREN:
                for child in list(self.children):
                    child.stop()
            case Effect.DELIVER:
                self.outcomes += 1
                assert not self.children, "it ended before its children"
                if self.parent is not None:
                    self.parent.children.discard(self)
                    if not self.parent.children and self.parent.state == FINISHING:
                        self.parent.feed(Event.CHILDREN_ENDED)

    def end_body(self, *, failed: bool) -> None:
        self.feed(end_of_body(failed=failed, has_children=bool(self.children)))

    def stop(self) -> None:
        if self.state not in ENDED and not self.asked_to_stop:
            self.asked_to_stop = True
            self.feed(Event.STOPPED)


FREE = [each for each in Event if not each.name.startswith(("BODY", "CHILDREN", "STOPPED"))]
STEPS = ("event", "stop", "child", "end well", "end badly")


@settings(max_examples=300)
@given(st.data())
def test_in_no_life_a_call_ends_twice_or_before_its_children(data):
    root = Simulated()
    calls = [root]
    for _ in range(data.draw(st.integers(1, 60))):
        call = data.draw(st.sampled_from(calls))
        step = data.draw(st.sampled_from(STEPS))
        if step == "child" and call.state == RUNNING:
            child = Simulated(call)
            call.children.add(child)
            calls.append(child)
        elif step == "stop":
            call.stop()
        elif step.startswith("end") and call.state == RUNNING:
            call.end_body(failed=step == "end badly")
        else:
            before, outcomes = call.state, call.outcomes
            event = data.draw(
                st.sampled_from([each for each in Event if not each.name.startswith(("BODY", "CHILDREN", "STOPPED"))])
            )
            try:
                call.feed(event)
            except IllegalEvent:
                assert (call.state, call.outcomes) == (before, outcomes), "a refused event changed something"
        for each in calls:
            assert each.outcomes == (each.state in ENDED)
            if each.parent is not None and each.state not in ENDED:
                assert each.parent.state not in ENDED
