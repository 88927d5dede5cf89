"""KISS Sorcar: caps, sessions that go on, shares, and worktrees inside of worktrees."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from solvency import Tree, grow, insolvent, spend
from teammates import CLEAN, Repository, Talker, Turn, check_nothing_ran_again, turns

import headway as hw
from headway import tools
from headway.errors import UsageError
from headway.methods.plan import teams
from headway.methods.plan.teams.sessions import repeats
from headway.models import Message
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash


@tools.tool
async def dig(metres: int) -> int:
    """Dig."""
    return metres


def run(model: Talker, offered: Any, task: str = "Go.", tokens: float = 0, **options: Any) -> teams.Kissed:
    @hw.task(name="teams.tests.kiss")
    async def program() -> teams.Kissed:
        if tokens:
            with hw.budget(tokens=tokens):
                return await teams.kiss(model, offered, task, **options)
        return await teams.kiss(model, offered, task, **options)

    return hw.run(program, store=None, progress=False)


def dig_on(messages: list[Message]) -> Turn:
    """Sum up when told to; end when two sessions are summed up; dig until then."""
    said = "\n".join(message.text for message in messages)
    if "Your steps are used up" in said:
        return "two sessions are done" if "one session is done" in said else "one session is done"
    return "The well is dug." if "two sessions are done" in said else [("dig", {"metres": len(messages)})]


def test_an_agent_whose_steps_are_used_up_sums_up_and_goes_on_in_a_new_session():
    model = Talker(dig_on)
    done = run(model, [dig], "Dig a well.", steps=3, sessions=5)
    assert (done.text, done.why, done.sessions, done.steps) == ("The well is dug.", "answered", 3, 7)
    first = [messages for messages in model.asked if "Your steps are used up" not in messages[-1].text]
    assert max(len(messages) for messages in first) <= 1 + 1 + 2 * 3, "a new session does not carry the old conversation"


def test_a_conversation_that_fills_its_room_goes_on_in_a_new_session():
    done = run(Talker(dig_on), [dig], "Dig a well.", steps=100, room=80, sessions=5)
    assert (done.text, done.sessions) == ("The well is dug.", 3)
    full = run(Talker(dig_on), [dig], "Dig a well. " * 50, steps=100, room=80, sessions=5)
    assert (full.why, full.sessions, full.steps) == ("room", 1, 0), "a task that fits no session ends at once"


def test_sessions_end():
    forever = Talker(lambda messages: "on" if "used up" in messages[-1].text else [("dig", {"metres": len(messages)})])
    done = run(forever, [dig], steps=2, sessions=4)
    assert (done.why, done.sessions, done.steps) == ("steps", 4, 8)


def test_who_goes_round_in_circles_is_stopped():
    circles = Talker(lambda messages: "on" if "used up" in messages[-1].text else [("dig", {"metres": 1})])
    done = run(circles, [dig], steps=50, sessions=1)
    assert (done.why, done.steps) == ("stuck", 5)
    assert not repeats(["a", "b", "a", "b", "a", "c"], 3)


def test_a_cap_is_kept_before_a_step_and_ends_the_agent_with_what_it_said():
    spent: dict[str, float] = {}

    def script(messages: list[Message]) -> Turn:
        return [("dig", {"metres": len(messages)})]

    @hw.task(name="teams.tests.capped")
    async def program() -> teams.Kissed:
        with hw.budget(tokens=100_000) as book:
            done = await teams.kiss(Talker(script), [dig], "Go.", steps=1000, caps={"tokens": 3_000})
        spent.update(book.spent)
        return done

    done = hw.run(program, store=None, progress=False)
    assert done.why == "budget"
    assert 0 < spent["tokens"] <= 3_000


def give(messages: list[Message]) -> Turn:
    task = messages[0].text
    if any(message.role == "tool" for message in messages):
        return f"{task}: {messages[-1].text}"
    return [("run_parallel", {"tasks": [f"{task}1", f"{task}2"]})] if len(task) < 3 else f"{task} is done"


def test_parts_are_given_away_as_deep_as_it_may_be():
    done = run(Talker(give), [], "x", tokens=200_000, depth=2)
    assert done.text == 'x: ["x1: [\\"x11 is done\\",\\"x12 is done\\"]","x2: [\\"x21 is done\\",\\"x22 is done\\"]"]'
    shallow = run(Talker(give), [dig], "x", depth=1)
    assert "There is no tool 'run_parallel'" in shallow.text


@pytest.mark.parametrize("seed", range(2))
def test_no_parent_is_insolvent_in_random_trees(seed):
    trees = [grow(random.Random(f"trees {seed} {number}")) for number in range(24)]
    assert insolvent(trees, kiss=True) == 0
    assert insolvent(trees, kiss=False) > 0, "who gives everything away can't go on"


def test_the_trees_are_deep_and_spend_all_that_they_can():
    tree = Tree(1.0, (Tree(1.0, ()), Tree(1.0, (Tree(1.0, ()),))))
    found = spend(tree, 1000.0, kiss=True)
    assert found.parents == 2
    assert found.insolvent == 0
    assert found.spent > 600.0


def mend(messages: list[Message]) -> Turn:
    """The boss gives two parts away, and mends what was not merged."""
    task = messages[0].text
    told = [message.text for message in messages if message.role == "tool"]
    if task.startswith("write"):
        _, name, what = task.split()
        return [("write", {"name": name, "text": what})] if not told else f"{name} is written"
    if not told:
        return [("write", {"name": "a", "text": "boss"})]
    if len(told) == 1:
        return [("run_parallel", {"tasks": ["write b one", "write b two", "write c three"]})]
    return told[1]


def writing(folder: str) -> list[Any]:
    @tools.tool(name="write", effect=True)
    def write(name: str, text: str) -> str:
        """Write a file."""
        path = Path(folder, name)
        before = path.read_text()
        path.write_text(text + "\n")
        return before

    return [write]


def test_each_agent_works_in_a_worktree_of_its_own_and_its_change_goes_to_who_gave_it_the_part(tmp_path):
    repository = Repository(tmp_path / "repository")
    done = run(Talker(mend), writing, "mend it", depth=1, repository=repository.folder)
    assert done.merge is not None
    assert done.merge.how == "merged"
    assert [repository.read(name) for name in "abc"] == ["boss", "one", "three"]
    assert done.text.count("Its change is merged") == 2
    assert "Its change is NOT merged: CONFLICT (content): Merge conflict in b" in done.text
    assert "+two" in done.text, "who gave the part sees what was not merged"
    assert repository.left() == CLEAN


def test_it_is_killed_at_any_record_and_repeats_nothing():
    @hw.task(name="teams.tests.kiss_killed")
    async def program() -> list[str]:
        with hw.budget(tokens=300_000):
            done = await teams.kiss(Talker(give, rest_s=0.1), [dig], "x", depth=2)
            more = await teams.kiss(Talker(dig_on, rest_s=0.1), [dig], "Dig.", steps=3, sessions=4)
        return [done.text, more.text]

    whole = History(1, STEADY)
    undisturbed = whole.live(program)
    total = len(whole.rows())
    for after in range(1, total, total // 6):
        history = History(1, STEADY)
        assert history.live(program, crash=Crash(after, "after")).how == "died"
        assert history.live(program).value == undisturbed.value
        history.check(undisturbed.outcome)
        check_nothing_ran_again(history)


def test_settings_that_make_no_sense_are_refused_before_anything_is_asked():
    model = Talker(turns("Done."))
    for options, says in [
        ({"steps": 0}, "steps=0"),
        ({"sessions": 0}, "sessions=0"),
        ({"room": 0}, "room=0"),
        ({"depth": -1}, "depth=-1"),
        ({"most": 0}, "most=0"),
        ({"caps": {"money": float("nan")}}, "money=nan"),
        ({"task": ""}, "task="),
        ({"repository": "."}, "tools= is a function"),
        ({"offered": writing}, "tools= is a function"),
        ({"offered": [dig, dig]}, "two tools are called 'dig'"),
    ]:
        given: dict[str, Any] = {"offered": [dig], **options}
        with pytest.raises(UsageError, match=says):
            run(model, given.pop("offered"), **given)
    assert not model.asked


@pytest.mark.parametrize("arguments", ["{", "{}", '{"tasks": []}', '{"tasks": [""]}', '{"tasks": ["a", "b", "c"]}'])
def test_what_is_no_part_is_told_to_the_model(arguments):
    model = Talker(lambda messages: messages[-1].text if len(messages) > 1 else [("run_parallel", arguments)])
    assert "run_parallel: " in run(model, [], depth=1, most=2).text
