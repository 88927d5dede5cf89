"""Tables are filled by many sub-agents: what is lacking is asked for again, nothing twice, and a bound leaves the table so far."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tabling import FIELDS, INSTRUCTED, PER_ROW, Orchestrated, Working, World, fill, gold, score

import headway as hw
from headway import testing
from headway.journal.records import COSTED, Kind, Status
from headway.journal.recovery.recovered import decode_outcome
from headway.methods.plan.matrix import Batch, Field, Matrix, TableFilled, a_mapreduce, describe_matrix
from headway.methods.plan.matrix.deciding import ask_again, cut_batches, fill_template, make_batch, match_records, project
from headway.sim.config import STEADY
from headway.sim.history import History
from headway.sim.store import Crash

COUNTED = (Field("capital"), Field("area", "integer"))  # nothing by which a record could be matched to its row


def asked_for(tmp_path):
    """Which rows each call of a sub-agent was asked for, and at which attempt."""
    calls = hw.view("run", store=tmp_path / "store").find("answer_rows")
    batches = [call.arguments["batch"].content for call in calls]
    return [(batch["attempt"], tuple(batch["places"])) for batch in batches]


# --- what a table comes to -------------------------------------------------------------------------------------------


def test_sub_agents_who_leave_nothing_out_fill_the_table(go):
    world = World(lost=0.0, crowded=0.0)
    found = go(fill, world)
    assert score(world, found).success
    assert (found.completeness, found.tries, found.stopped, found.lacking) == (1.0, 40, "done", ())


def test_only_the_rows_that_are_lacking_are_asked_for_again(go, tmp_path):
    world = World(seed=3)
    found = go(fill, world, 2, "open", 8)
    asked = asked_for(tmp_path)
    first = [places for attempt, places in asked if attempt == 0]
    assert sorted(place for places in first for place in places) == list(range(40))
    had = {record["country"] for end in found.batches for record in end.records}
    for attempt in (1, 2):
        again = [place for number, places in asked for place in places if number == attempt]
        assert len(again) == len(set(again))
        assert len(again) < sum(len(places) for number, places in asked if number == attempt - 1)
    assert {int(country.split()[1]) for country in had} | {*found.lacking} == {*range(40)}
    assert found.tries == len(asked)


def test_the_more_often_it_is_asked_again_the_more_complete_the_table_becomes(go):
    worlds = [World(seed=seed) for seed in range(4)]
    by_retries = [
        fmean(score(world, testing.run(fill, world, retries, store=None)).rows.f1 for world in worlds) for retries in (0, 1, 2)
    ]
    assert by_retries[0] < by_retries[1] < by_retries[2]
    assert by_retries[2] == pytest.approx(1 - 0.3**3, abs=0.05)
    assert by_retries[0] == pytest.approx(1 - 0.3, abs=0.1)


def test_a_row_that_nobody_answers_has_a_fallback_record_that_repeats_its_atom(go):
    found = go(fill, World(lost=1.0, rows=3))
    assert found.table.rows == (("Land 0", None, None), ("Land 1", None, None), ("Land 2", None, None))
    assert (found.lacking, found.completeness, found.tries) == ((0, 1, 2), 0.0, 9)


def test_chunks_cost_less_and_lose_more(go):
    world = World(seed=5, crowded=0.03)
    alone, together = go(fill, world, 0, run_id="alone"), go(fill, world, 0, "open", 8, run_id="together")
    assert together.tries == 5
    assert alone.tries == 40
    assert together.completeness < alone.completeness
    assert 5 * INSTRUCTED + 40 * PER_ROW < 40 * (INSTRUCTED + PER_ROW)


@hw.task
async def say_less(batch: Batch) -> list[dict[str, object]]:
    """First two records, then one, then three."""
    count = (2, 1, 3)[batch.attempt]
    return [{"capital": f"town {batch.attempt}", "area": number} for number in range(count)]


@hw.task
async def fill_counted(retries: int) -> TableFilled:
    world = World(rows=4)
    return await a_mapreduce("which?", Orchestrated(world, "open", 4, COUNTED), say_less, retries=retries)


def test_records_that_can_only_be_counted_are_asked_for_all_again_and_the_longer_list_stays(go):
    assert go(fill_counted, 1).table.rows == (("town 0", 0), ("town 0", 1), (None, None), (None, None))
    assert go(fill_counted, 2, run_id="more").table.rows[0] == ("town 2", 0)
    assert go(fill_counted, 2, run_id="more").lacking == (3,)


@hw.task
async def say_what_was_shown(batch: Batch) -> list[dict[str, object]]:
    shown = "; ".join(str(record["area"]) for record in batch.partial)
    return [{"country": batch.rows[0][0], "area": len(batch.partial), "capital": shown or "nothing"}]


@hw.task
async def fill_one_by_one() -> TableFilled:
    return await a_mapreduce("which?", Orchestrated(World(rows=3), "open", 3), say_what_was_shown)


def test_who_is_asked_again_is_shown_what_was_had(go):
    assert [row[1] for row in go(fill_one_by_one).table.rows] == ["nothing", "0", "0; 1"]


class Unwell(hw.ModelError):
    """A sub-agent that fails."""


@hw.task
async def fail_first(batch: Batch) -> list[dict[str, object]]:
    if batch.attempt < 1 or batch.rows[0][0] == "Land 1":
        raise Unwell(f"attempt {batch.attempt}")
    return [{"country": batch.rows[0][0], "capital": "town", "area": 1}]


@hw.task
async def fill_with(what: str) -> TableFilled:
    work = {"fails": fail_first, "breaks": break_down, "garbage": say_garbage}[what]
    return await a_mapreduce("which?", Orchestrated(World(rows=2)), work, retries=1)


@hw.task
async def break_down(batch: Batch) -> list[dict[str, object]]:
    raise RuntimeError("a bug")


@hw.task
async def say_garbage(batch: Batch) -> list[str]:
    return ["Rome"]


def test_a_sub_agent_that_fails_is_asked_again_and_its_errors_are_told(go):
    found = go(fill_with, "fails")
    assert found.lacking == (1,)
    assert found.batches[0].errors == ("Unwell: attempt 0",)
    assert found.batches[1].errors == ("Unwell: attempt 0", "Unwell: attempt 1")


def test_a_bug_of_a_sub_agent_is_raised(go):
    with pytest.raises(RuntimeError, match="a bug"):
        go(fill_with, "breaks")
    with pytest.raises(hw.UsageError, match=r"work=<task test_amapreduce.say_garbage> gave \['Rome'\]: give a list of records"):
        go(fill_with, "garbage", run_id="other")


# --- plan mode -------------------------------------------------------------------------------------------------------


@hw.task
async def decide(question: str, hints: tuple[str, ...], draft: Matrix | None) -> Matrix:
    if draft is None:
        return Matrix((("a",), ("b",)), "What of __0__?", (Field("k", slot=0), Field("v")), why="a first guess")
    return replace(draft, strategy="open", chunk=2, why="; ".join(hints))


@hw.task
async def recall(question: str, draft: Matrix) -> list[str]:
    return [f"of {question}: {describe_matrix(draft)}", "two", "three", "four"]


@hw.task
async def answer(batch: Batch) -> list[dict[str, object]]:
    return [{"k": name, "v": f"{len(batch.rows)} together"} for (name,) in batch.rows]


@hw.task
async def fill_by_experience(known: bool) -> TableFilled:
    return await a_mapreduce("q", decide, answer, hints=recall if known else forget)


@hw.task
async def forget(question: str, draft: Matrix) -> list[str]:
    return []


def test_in_plan_mode_the_orchestrator_decides_again_with_three_hints(go):
    found = go(fill_by_experience, True)
    assert [row[1] for row in found.table.rows] == ["2 together", "2 together"]
    first = "of q: 2 rows of 1 atom; template: What of __0__?; fields: k, v; batches: per_atom; a first guess"
    assert found.hints == (first, "two", "three")
    assert found.matrix is not None
    assert found.matrix.why == f"{first}; two; three"


def test_without_experience_the_draft_stands(go, tmp_path):
    assert go(fill_by_experience, False).hints == ()
    assert len(hw.view("run", store=tmp_path / "store").find("decide")) == 1


# --- bounds ----------------------------------------------------------------------------------------------------------


@hw.task
async def fill_in_bounds(world: World, tokens: int, seconds: float) -> TableFilled:
    with hw.budget(tokens=tokens), hw.deadline(seconds=seconds):
        return await a_mapreduce("which?", Orchestrated(world), Working(world), workers=4)


def test_no_more_batches_run_at_once_than_there_are_workers(go, clock):
    world = World(rows=12, lost=0.0)
    at = clock.now
    go(fill_in_bounds, world, 10**6, 1e6)
    assert clock.now - at == pytest.approx(3 * 2)  # of two seconds each


def test_a_budget_ends_it_with_the_rows_so_far_and_fallbacks(go):
    world = World(rows=12, lost=0.0)
    found = go(fill_in_bounds, world, 8000, 1e6)
    assert found.stopped == "budget"
    assert 0 < len(found.lacking) < 12
    assert len(found.table.rows) == 12
    assert score(world, found).rows.recall == found.completeness


def test_a_deadline_ends_it_with_the_rows_so_far(go):
    world = World(rows=12, lost=0.0)
    found = go(fill_in_bounds, world, 10**6, 3.0)
    assert found.stopped == "deadline"
    assert len(found.table.rows) == 12
    assert found.completeness == pytest.approx(4 / 12)


def test_a_budget_that_affords_no_decision_leaves_no_table(go):
    @hw.task(cost={"tokens": 5})
    async def dear(question: str, hints: tuple[str, ...], draft: Matrix | None) -> Matrix:
        raise AssertionError("it was not afforded")

    @hw.task
    async def program() -> TableFilled:
        with hw.budget(tokens=4):
            return await a_mapreduce("which?", dear, answer)

    found = go(program)
    assert (found.stopped, found.matrix, found.table.rows, found.completeness) == ("budget", None, (), 0.0)


# --- nothing is repeated ---------------------------------------------------------------------------------------------


def successes(rows):
    ends = [(row.key, decode_outcome(row.body)) for row in rows if row.kind & ~COSTED == Kind.OUTCOME]
    return Counter(key.hex() for key, end in ends if end.status == Status.OK)


def test_a_run_that_is_killed_repeats_no_row_and_ends_as_if_it_had_not_been():
    world = World(seed=2, rows=10)
    whole = History(1, STEADY)
    undisturbed = whole.live(fill, world, 2, "open", 3)
    history, total = History(1, STEADY), len(whole.rows())
    for share in (0.2, 0.45, 0.7, 0.95):
        assert history.live(fill, world, 2, "open", 3, crash=Crash(int(total * share), "after")).how == "died"
    last = history.live(fill, world, 2, "open", 3)
    history.check(undisturbed.outcome)
    assert last.value == undisturbed.value
    for life in history.lives:
        begun = {event.key for event in life.event_log if isinstance(event, hw.events.CallStarted)}
        assert not begun & successes(life.before).keys()
    assert successes(history.rows()) == successes(whole.rows())


@pytest.mark.long
def test_it_asks_for_the_same_calls_under_every_schedule(headway_check):
    headway_check(fill, World(seed=2, rows=4), 2, "open", 2, schedules=4)


# --- decisions, which are pure ---------------------------------------------------------------------------------------

matrices = st.builds(
    lambda rows, strategy, chunk, attr, groups: Matrix(
        tuple(rows),
        "__0__ of __1__",
        (Field("x", slot=0), Field("y")),
        strategy,
        chunk,
        attr,
        tuple(tuple(sorted(group)) for group in groups if all(place < len(rows) for place in group)),
    ),
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("pqr")), min_size=1, max_size=9),
    st.sampled_from(["per_atom", "by_attr", "open"]),
    st.integers(1, 4),
    st.integers(0, 1),
    st.sampled_from([[], [{0}], [{0, 2}, {1}], [{3, 4}]]),
)


@given(matrices)
def test_every_row_is_in_exactly_one_batch(matrix):
    batches = cut_batches(matrix)
    assert sorted(place for batch in batches for place in batch.places) == list(range(len(matrix.rows)))
    for batch in batches:
        assert batch.rows == tuple(matrix.rows[place] for place in batch.places)
        assert batch.asked == tuple(f"{a} of {b}" for a, b in batch.rows)
    if matrix.strategy == "per_atom":
        assert {len(batch.places) for batch in batches} == {1}
    if matrix.strategy == "by_attr":
        assert all(len({row[matrix.attr] for row in batch.rows}) == 1 for batch in batches)
        assert len(batches) == len({row[matrix.attr] for row in matrix.rows})
    if matrix.strategy == "open":
        assert all(len(batch.places) <= matrix.chunk or batch.places in matrix.groups for batch in batches)


def test_a_slot_is_filled_once_whatever_stands_in_an_atom():
    assert fill_template("__1__ and __0__, __1__", ("__1__", "b")) == "b and __1__, b"


def test_a_record_is_brought_into_the_schema():
    fields = (Field("Name"), Field("area", "number"), Field("count", "integer"), Field("open", "boolean"))
    record = {" name": ["a", "b"], "AREA": "1,234.5", "count": 3.0, "open": "yes", "more": 1}
    assert project(record, fields) == {"Name": "a, b", "area": 1234.5, "count": 3, "open": None}
    assert project({"name": "", "area": True, "count": "x"}, fields) == dict.fromkeys(("Name", "area", "count", "open"))


def test_records_are_matched_to_the_rows_whose_atoms_they_repeat():
    matrix = Matrix((("Italy",), ("Malta",), ("Fiji",)), "__0__?", (Field("country", slot=0), Field("area", "integer")))
    batch = make_batch(matrix, (0, 1, 2))
    said = [{"country": "fiji ", "area": 18}, {"country": "Atlantis", "area": 1}, {"country": "Italy", "area": None}]
    records, lacking = match_records(batch, said)
    assert records == [{"country": "fiji ", "area": 18}]
    assert lacking == [0, 1]
    again = ask_again(batch, 0, records, lacking)
    assert (again.places, again.attempt, again.partial) == ((0, 1), 1, ({"country": "fiji ", "area": 18},))


def test_the_schema_of_a_record_closes_it():
    matrix = Matrix((("a",),), "x", FIELDS)
    assert matrix.schema["properties"]["area"] == {"type": ["integer", "null"]}
    assert matrix.schema["additionalProperties"] is False


ONE = (Field("x"),)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: Matrix((), "__0__", ONE), "rows have no atoms"),
        (lambda: Matrix((("a",), ("b", "c")), "__0__", ONE), r"rows have \[1, 2\] atoms"),
        (lambda: Matrix((("a",),), "__1__", ONE), "slot 1: a row has the atoms 0 to 0"),
        (lambda: Matrix((("a",), ("b",)), "all", ONE), "has no slot"),
        (lambda: Matrix((("a",),), "__0__", ()), "at least one"),
        (lambda: Matrix((("a",),), "__0__", (Field("x"), Field(" X"))), "none twice"),
        (lambda: Matrix((("a",),), "__0__", (Field("x", slot=3),)), "slot 3"),
        (lambda: Matrix((("a",),), "__0__", ONE, "random"), "per_atom, by_attr or open"),
        (lambda: Matrix((("a",),), "__0__", ONE, "open", chunk=0), "chunk=0"),
        (lambda: Matrix((("a",),), "__0__", ONE, "by_attr", attr=1), "attr=1"),
        (lambda: Matrix((("a",), ("b",)), "__0__", ONE, "open", groups=((0,), (0, 1))), "in one group at most"),
        (lambda: Field(" "), "a text"),
        (lambda: Field("x", "date"), "one of string, number, integer, boolean"),
    ],
)  # fmt: skip
def test_a_matrix_that_makes_no_sense_is_refused(wrong, says):
    with pytest.raises(hw.UsageError, match=says):
        wrong()


@hw.task
async def decide_nothing(question: str, hints: tuple[str, ...], draft: Matrix | None) -> str:
    return "per_atom"


@hw.task
async def hint_in_one_word(question: str, draft: Matrix) -> str:
    return "no list"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"retries": -1}, "retries=-1"),
        ({"workers": 0}, "workers=0"),
        ({"work": None}, "work=None"),
        ({"orchestrate": "me"}, "orchestrate='me'"),
        ({"hints": 3}, "hints=3"),
        ({"errors": "all"}, "errors='all'"),
        ({"question": " "}, "question=' '"),
        ({"orchestrate": decide_nothing}, "must return a matrix.Matrix"),
        ({"hints": hint_in_one_word}, "give a list of texts"),
    ],
)
def test_senseless_arguments_are_refused_in_a_sentence(go, options, says):
    given = {"question": "q", "orchestrate": decide, "work": answer, **options}

    @hw.task
    async def program() -> TableFilled:
        return await a_mapreduce(given.pop("question"), given.pop("orchestrate"), given.pop("work"), **given)

    with pytest.raises(hw.UsageError, match=says):
        go(program)


def test_a_world_plants_what_it_says():
    assert gold(World(rows=3)).columns == ("country", "capital", "area")
    assert gold(World(seed=1)) != gold(World(seed=2))
