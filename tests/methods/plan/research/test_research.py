"""A research goes on until nothing is lacking, says what it searched and why, and repeats nothing."""

from __future__ import annotations

from collections import Counter
from statistics import fmean
from typing import Any

import pytest
from covers import World, coverage, facts_of, judge, outline, parts_of, search, search_in_rounds, search_wide, study

import headway as hw
from headway import testing
from headway.journal.records import COSTED, Kind, Status
from headway.journal.recovery.recovered import decode_outcome
from headway.methods.plan.research import (
    Criterion,
    Cycle,
    Finding,
    Gap,
    Parts,
    Query,
    Report,
    check_trail,
    research,
    write_trail,
)
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash


def found_in(report: Report) -> set[int]:
    return facts_of(report.findings)


# --- the loop --------------------------------------------------------------------------------------------------------


def test_it_ends_when_no_gap_is_left_and_says_what_it_searched_and_why(go, tmp_path):
    world = World(seed=1)
    report = go(study, world)
    assert (report.stopped, report.gaps) == ("no gap", ())
    assert coverage(world, found_in(report)) == 1.0
    assert check_trail(report.trail) == []
    calls = hw.view("run", store=tmp_path / "store").find("search")
    searched = [call.arguments["query"] for call in calls if call.task == "covers.search"]
    assert sorted(searched) == sorted(each.what for each in report.trail if each.event == "query")
    assert len(searched) == report.searches == len(set(searched))
    lacked = {each.what for each in report.trail if each.event == "gap"}
    assert all(each.why in lacked for each in report.trail if each.event == "query")


def test_the_trail_reads_as_a_table(go):
    lines = write_trail(go(study, World(seed=1, facts=8, sections=2)).trail).splitlines()
    assert lines[0] == "| number | cycle | step | event | what | why |"
    assert lines[2] == "| 1 | 0 |  | outline | section 0 | the topic is cut so |"
    assert lines[4] == "| 3 | 0 |  | rubric | all facts of section 0 | it is asked of section 0 |"
    assert any("| 1.1 | query | fact 0, wording 0 | fact 0 |" in line for line in lines)
    assert lines[-1].endswith("| stop | no gap | nothing is lacking |")


def test_at_equal_searches_it_covers_more_than_rounds_that_were_fixed_and_than_one_wide_round():
    ours, fixed, wide = [], [], []
    for seed in range(10, 14):
        world = World(seed=seed)
        report = testing.run(study, world, store=None)
        ours.append(coverage(world, found_in(report)))
        fixed.append(testing.run(search_in_rounds, world, report.searches, 3, store=None))
        wide.append(testing.run(search_wide, world, report.searches, store=None))
    assert fmean(ours) == 1.0
    assert fmean(fixed) < 0.95
    assert fmean(wide) < fmean(fixed)


def test_the_lasting_rubric_reaches_whoever_judges_and_whoever_writes(go):
    seen: dict[str, Any] = {}

    @hw.task
    async def look(cycle: Cycle) -> list[Gap]:
        seen["judge"] = cycle.rubric
        return []

    @hw.task
    async def write(cycle: Cycle, gaps: list[Gap]) -> str:
        seen["writer"] = cycle.rubric
        return "written"

    @hw.task
    async def rubric(topic: str, sections: list[str]) -> list[Criterion]:
        return [Criterion(f"{topic} in {len(sections)}")]

    @hw.task
    async def program() -> Report:
        return await research("Malta", Parts(cut, look, nothing, rubric, write))

    report = go(program)
    assert report.text == "written"
    assert seen == {"judge": (Criterion("Malta in 2"),), "writer": (Criterion("Malta in 2"),)}
    assert (report.stopped, report.cycles, report.searches) == ("no gap", 0, 0)


@hw.task
async def cut(topic: str) -> list[str]:
    return ["size", "people"]


@hw.task
async def nothing(query: str, given: list[Finding]) -> list[Finding]:
    return []


def test_it_ends_when_it_could_only_repeat_itself(go):
    @hw.task
    async def look(cycle: Cycle) -> list[Gap]:
        return [Gap("its size", ("size of Malta", "SIZE  of malta")), Gap("its age")]

    @hw.task
    async def program() -> Report:
        return await research("Malta", Parts(cut, look, nothing))

    report = go(program)
    assert (report.stopped, report.searches) == ("nothing new", 1)
    assert [gap.lacks for gap in report.gaps] == ["its size", "its age"]
    assert "Open: its age" in report.text


def test_it_ends_when_its_cycles_are_used_up_and_names_what_is_open(go):
    world = World(seed=1)
    report = go(study, world, 2)
    assert (report.stopped, report.cycles) == ("cycles", 2)
    assert report.gaps
    assert check_trail(report.trail) == []


# --- the plan --------------------------------------------------------------------------------------------------------


@hw.task
async def look_in_steps(cycle: Cycle) -> list[Gap]:
    """Who built it, then when that one lived, and what else was built then."""
    if cycle.number == 1:
        who = Gap("who built it", ("builder",), "people")
        return [who, Gap("when", ("life",), "people", builds_on=(0,)), Gap("what else", ("works",), builds_on=(1,))]
    if cycle.barren == ("builder",):
        return [Gap("who built it", ("architect",), "people"), Gap("when", ("life",), "people", builds_on=(0,))]
    return []


@hw.task
async def search_in_steps(query: str, given: list[Finding]) -> list[Finding]:
    await hw.sleep(1)
    known = {"architect": "Cassar", "life": f"the life of {given[0].text}" if given else "whose life?"}
    return [Finding(known[query], "archive")] if query in known else []


@hw.task
async def study_in_steps() -> Report:
    return await research("St John's", Parts(cut, look_in_steps, search_in_steps))


def test_what_builds_on_a_search_that_found_nothing_is_taken_back_and_asked_for_another_way(go, tmp_path):
    report = go(study_in_steps)
    assert [(each.event, each.what, each.step) for each in report.trail if each.event in ("failed", "given up", "output")] == [
        ("failed", "builder", "1.1"),
        ("given up", "life", "1.2"),
        ("given up", "works", "1.3"),
        ("output", "Cassar", "2.1"),
        ("output", "the life of Cassar", "2.2"),
    ]
    gone = [each.why for each in report.trail if each.event == "given up"]
    assert gone == ["it builds on 'builder', which found nothing"] * 2
    calls = hw.view("run", store=tmp_path / "store").find("search_in_steps")
    assert sorted(call.arguments["query"] for call in calls) == ["architect", "builder", "life"]
    assert [node.id for node in report.graph] == ["1.1", "2.1", "2.2"]
    assert report.graph["2.2"].needs[0].step == "2.1"
    assert check_trail(report.trail) == []
    assert "## people\n- Cassar (archive)\n- the life of Cassar (archive)" in report.text


@hw.task
async def look_deep(cycle: Cycle) -> list[Gap]:
    if cycle.number == 1 and cycle.topic.count("/") < 5:
        return [Gap("a subject of its own", (f"{cycle.topic}/deep",), deep=True), Gap("a fact", (f"{cycle.topic}/plain",))]
    return []


@hw.task
async def find_name(query: str, given: list[Finding]) -> list[Finding]:
    return [Finding(query)]


@hw.task
async def study_deep(depth: int) -> Report:
    return await research("m", Parts(cut, look_deep, find_name), depth=depth)


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_researches_lie_below_one_another_as_deep_as_is_allowed(go, depth):
    report = go(study_deep, depth)
    assert max(each.step.count("/") for each in report.trail) == depth
    leaf = "m" + "/deep" * (depth + 1)
    assert Finding(leaf) in report.findings
    assert report.searches == depth + 2
    assert check_trail(report.trail) == []


# --- failures and bounds ---------------------------------------------------------------------------------------------


class Unwell(hw.ModelError):
    """A part that fails."""


@hw.task
async def fail(query: str, given: list[Finding]) -> list[Finding]:
    raise Unwell(f"no answer to {query}")


@hw.task
async def break_down(query: str, given: list[Finding]) -> list[Finding]:
    raise RuntimeError("a bug")


@hw.task
async def study_with(what: str) -> Report:
    world = World(facts=4, sections=2)
    searcher = {"fails": fail, "breaks": break_down, "garbage": say_garbage}[what]
    return await research("m", Parts(parts_of(world).outline, parts_of(world).judge, searcher))


@hw.task
async def say_garbage(query: str, given: list[Finding]) -> list[str]:
    return ["Rome"]


def test_a_search_that_fails_is_told_in_the_trail_and_asked_another_way(go):
    report = go(study_with, "fails")
    assert report.stopped == "nothing new"
    assert [each.why for each in report.trail if each.step == "1.1" and each.event == "failed"] == [
        "Unwell: no answer to fact 0, wording 0"
    ]
    assert report.searches == 2 * 5


def test_a_bug_of_a_part_is_raised(go):
    with pytest.raises(RuntimeError, match="a bug"):
        go(study_with, "breaks")
    with pytest.raises(hw.UsageError, match=r"give a list of research\.Finding"):
        go(study_with, "garbage", run_id="other")


@hw.task
async def study_in_bounds(world: World, searches: int, seconds: float) -> Report:
    with hw.budget(searches=searches), hw.deadline(seconds=seconds):
        return await research("the world", parts_of(world), cycles=40, width=4)


@pytest.mark.parametrize(("searches", "seconds", "ended"), [(12, 1e6, "budget"), (1000, 2.5, "deadline"), (0, 1e6, "budget")])
def test_a_bound_gives_the_report_so_far_with_its_open_gaps_named(go, searches, seconds, ended):
    world = World(seed=4)
    report = go(study_in_bounds, world, searches, seconds)
    assert report.stopped == ended
    assert report.trail[-1].event == "stop"
    assert check_trail(report.trail) == []
    assert report.searches <= searches
    for gap in report.gaps:
        assert f"Open: {gap.lacks}" in report.text
    if searches:
        assert report.gaps
        assert 0 < len(report.findings) < world.facts
        assert report.text.startswith("# the world\n\n## section 0\n- fact")


# --- nothing is repeated ---------------------------------------------------------------------------------------------


def successes(rows):
    ends = [(row.key, decode_outcome(row.body)) for row in rows if row.kind & ~COSTED == Kind.OUTCOME]
    return Counter(key.hex() for key, end in ends if end.status == Status.OK)


@pytest.mark.parametrize("program", [(study, World(seed=3, facts=12, sections=3)), (study_in_steps,), (study_deep, 2)])
def test_a_research_that_is_killed_repeats_no_search_and_ends_as_if_it_had_not_been(program):
    whole = History(1, STEADY)
    undisturbed = whole.live(*program)
    history, total = History(1, STEADY), len(whole.rows())
    for share in (0.2, 0.45, 0.7, 0.95):
        assert history.live(*program, crash=Crash(int(total * share), "after")).how == "died"
    assert history.live(*program).value == undisturbed.value
    history.check(undisturbed.outcome)
    for life in history.lives:
        begun = {event.key for event in life.event_log if isinstance(event, hw.events.CallStarted)}
        assert not begun & successes(life.before).keys()
    assert successes(history.rows()) == successes(whole.rows())


@pytest.mark.long
def test_it_asks_for_the_same_calls_under_every_schedule(headway_check):
    headway_check(study_in_steps, schedules=10)


# --- bad input -------------------------------------------------------------------------------------------------------


@hw.task
async def cut_nothing(topic: str) -> list[str]:
    return []


@hw.task
async def look_wrong(cycle: Cycle) -> list[str]:
    return ["its size"]


@hw.task
async def look_in_a_circle(cycle: Cycle) -> list[Gap]:
    return [Gap("a", ("a",), builds_on=(1,)), Gap("b", ("b",))]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"topic": ""}, "topic=''"),
        ({"parts": outline}, "a research.Parts"),
        ({"depth": -1}, "depth=-1"),
        ({"cycles": 0}, "cycles=0"),
        ({"width": 0}, "width=0"),
        ({"policy": "fast"}, "policy='fast'"),
        ({"errors": "all"}, "errors='all'"),
        ({"parts": Parts(cut_nothing, look_in_steps, nothing)}, "the outline is"),
        ({"parts": Parts(cut, look_wrong, nothing)}, "give a list of research.Gap"),
        ({"parts": Parts(cut, look_in_a_circle, nothing)}, "gap 0 builds on"),
    ],
)
def test_senseless_arguments_are_refused_in_a_sentence(go, options, says):
    given = {"topic": "Malta", "parts": Parts(cut, look_in_steps, nothing), **options}

    @hw.task
    async def program() -> Report:
        return await research(given.pop("topic"), given.pop("parts"), **given)

    with pytest.raises(hw.UsageError, match=says):
        go(program)


def test_parts_that_are_no_functions_are_refused():
    with pytest.raises(hw.UsageError, match="judge=None"):
        Parts(outline, None, search)  # type: ignore[arg-type]
    with pytest.raises(hw.UsageError, match="write='me'"):
        Parts(outline, judge, search, write="me")  # type: ignore[arg-type]
    with pytest.raises(hw.UsageError, match="what is asked"):
        Criterion(" ")
    assert Query("a", "b").cycle == 1
