"""Commands that run and resume programs: what they print, write and return."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from commandline import Folder

from headway.events import RunEnded, RunStarted
from headway.observe.sinks import read_events


def test_run_prints_the_result_and_nothing_else(folder: Folder) -> None:
    answer = folder.answer("why?")
    assert (answer.code, answer.out, answer.err) == (0, "why?: 3\n", "")


def test_arguments_and_keywords_reach_the_task(folder: Folder) -> None:
    assert folder.answer("5", "2").out == "5: 1\n"
    assert folder.answer("5", "-k", "number=4").out == "5: 6\n"
    assert folder.headway("run", folder.target("spend"), "--budget", "tokens=10", "--deadline", "60", "4").out == "6.0\n"


def test_the_result_of_a_run_that_is_done_comes_from_the_journal(folder: Folder) -> None:
    assert folder.answer("why?", "--run-id", "sky").err == ""
    again = folder.answer("why?", "--run-id", "sky")
    assert again.out == "why?: 3\n"
    assert "run sky was done before" in again.err
    assert folder.answer("why?", "--run-id", "sky", "--json").json == {
        "run_id": "sky",
        "store": ".headway",
        "status": "done",
        "from_journal": True,
        "result": "why?: 3",
    }


def test_progress_goes_to_stderr(folder: Folder) -> None:
    answer = folder.answer("why?", "--run-id", "sky", "--progress")
    assert answer.out == "why?: 3\n"
    assert "sky done in" in answer.err


def test_events_and_a_picture_are_written_where_one_says(folder: Folder) -> None:
    answer = folder.answer("why?", "--events", "log/events.jsonl", "--gantt", "run.svg")
    assert "the chart is in run.svg" in answer.err
    events = list(read_events("log/events.jsonl"))
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunEnded)
    assert ET.parse("run.svg").getroot().tag.endswith("svg")


def test_a_picture_that_cannot_be_written_does_not_cost_the_result(folder: Folder) -> None:
    answer = folder.answer("why?", "--gantt", "no such folder/run.svg")
    assert (answer.code, answer.out) == (0, "why?: 3\n")
    assert "cannot be written" in answer.err


def test_a_failed_program_shows_its_own_frames_and_how_to_resume(folder: Folder) -> None:
    answer = folder.answer("why?", "-k", "how=raise", "--run-id", "sky")
    assert answer.code == 1
    assert answer.out == ""
    assert "LookupError: nothing to be found" in answer.err
    assert f'{folder.stem}.py", line' in answer.err
    assert "headway/engine" not in answer.err
    assert "resume with: headway resume sky" in answer.err
    full = folder.headway("resume", "sky", "--traceback")
    assert full.code == 1
    assert "headway/engine" in full.err


def test_a_run_whose_deadline_has_passed_goes_on_with_another(folder: Folder) -> None:
    for again in (["run", folder.target("answer"), "why?", "--run-id", "sky", "--deadline", "0"], ["resume", "sky"]):
        failed = folder.headway(*again)
        assert failed.code == 1
        assert "its deadline has passed" in failed.err
        assert failed.err.endswith("resume with: headway resume sky --deadline SECONDS\n")
    answer = folder.headway("resume", "sky", "--deadline", "60")
    assert (answer.code, answer.out) == (0, "why?: 3\n")
    (run,) = folder.headway("ls", "--json").json["runs"]
    assert run["status"] == "done"
    assert folder.headway("show", "sky", "--json").json["deadline"] > run["created"] + 30  # the one that holds


def test_a_failed_run_is_resumed_where_it_stopped(folder: Folder) -> None:
    folder.answer("why?", "-k", "how=raise", "--run-id", "sky")
    Path("mended").touch()
    answer = folder.headway("resume", "sky", "--events", "events.jsonl", "--json")
    assert answer.json["result"] == "why?: 3"
    assert answer.json["from_journal"] is False
    ended = list(read_events("events.jsonl"))[-1]
    assert isinstance(ended, RunEnded)
    assert ended.reused == 6


def test_an_error_of_headway_inside_a_program_is_one_sentence(folder: Folder) -> None:
    answer = folder.answer("why?", "-k", "how=encode", "--run-id", "sky")
    assert answer.code == 1
    assert answer.err.splitlines()[0].startswith("NotEncodable: the result of ")
    assert "Traceback" not in answer.err


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["run", "nothing.py:answer"], 2, "there is no program file 'nothing.py'"),
        (["run", "nothing:answer"], 2, "there is no module 'nothing'"),
        (["run", "{stem}.py:anser", "x"], 2, "did you mean 'answer'?"),
        (["run", "{stem}.py:not_a_task"], 2, "is int, not a task"),
        (["run", "{stem}.py:answer"], 2, "missing a required argument: 'question'"),
        (["run", "{stem}.py:answer", "x", "five"], 2, "argument number: 'five' does not fit int"),
        (["run", "{stem}.py:answer", "x", "--budget", "5"], 2, "--budget 5: write a unit and an amount"),
        (["run", "{stem}.py:answer", "--nope"], 2, "No such option"),
        (["show", "skye"], 3, "did you mean 'sky'?"),
        (["resume", "skye"], 3, "did you mean 'sky'?"),
        (["cancel", "skye"], 3, "did you mean 'sky'?"),
        (["signal", "skye", "go"], 3, "did you mean 'sky'?"),
        (["show", "sky", "--store", "elsewhere"], 3, "there is no store 'elsewhere'"),
        (["show", "sky", "--task", "nope"], 2, "has no calls of 'nope'"),
        (["fork", "sky", "--at", "nope"], 2, "has no call 'nope'"),
        (["run", "{stem}.py:answer", "other", "--run-id", "sky"], 3, "with other arguments"),
        (["doctor", "--store", "elsewhere"], 3, ""),
    ],
)
def test_what_goes_wrong_is_one_sentence_and_an_exit_code(folder: Folder, args: list[str], code: int, message: str) -> None:
    folder.answer("why?", "--run-id", "sky")
    answer = folder.headway(*(arg.format(stem=folder.stem) for arg in args))
    assert answer.code == code
    assert message in answer.err.replace("\n", " ")
    assert "Traceback" not in answer.err
    assert not Path("elsewhere").exists()


def test_cancelling_a_run_that_is_done_says_so_and_warns_of_nothing(folder: Folder) -> None:
    folder.answer("why?", "--run-id", "sky")
    answer = folder.headway("cancel", "sky")
    assert answer.code == 0
    assert answer.out.strip() == "sky: already done, nothing to stop"
    assert answer.err == ""


def test_ls_lists_runs_for_people_and_for_programs(folder: Folder) -> None:
    folder.answer("why?", "--run-id", "sky")
    folder.answer("why?", "-k", "how=raise", "--run-id", "sea")
    listed = folder.headway("ls").out
    assert [line.split()[:3] for line in listed.splitlines()[1:]] == [
        ["sky", f"{folder.stem}.answer", "done"],
        ["sea", f"{folder.stem}.answer", "failed"],
    ]
    sky, sea = folder.headway("ls", "--json").json["runs"]
    assert (sky["status"], sky["calls"], sky["failed"], sky["spent"]) == ("done", 7, 0, {"tokens": 200.0})
    assert (sea["status"], sea["failed"], sea["driven_by"], sea["drives"]) == ("failed", 1, None, 1)
    assert sky["duration_s"] >= 0


def test_ls_shows_so_many_of_a_state_and_says_that_there_are_more(folder: Folder) -> None:
    for number in range(4):
        folder.answer("why?", "-k", f"how={'raise' if number == 1 else 'normal'}", "--run-id", f"r{number}")

    def listed(*options: str) -> tuple[list[str], bool]:
        document = folder.headway("ls", *options, "--json").json
        return [run["run_id"] for run in document["runs"]], document["is_more"]

    assert listed("--limit", "2") == (["r2", "r3"], True)
    assert listed("-n", "4") == (["r0", "r1", "r2", "r3"], False)
    assert listed("-n", "2", "--all") == (["r0", "r1", "r2", "r3"], False)
    assert listed("--state", "failed") == (["r1"], False)
    assert listed("--state", "done", "--state", "failed", "-n", "3") == (["r1", "r2", "r3"], True)
    assert folder.headway("ls", "-n", "2").err == "there are older runs: headway ls --limit 20, or --all\n"
    assert folder.headway("ls", "--state", "crashed").err == "no runs that are crashed in .headway yet\n"
    answer = folder.headway("ls", "--state", "crash")
    assert (answer.code, "did you mean 'crashed'" in answer.err) == (2, True)


def test_ls_says_so_where_there_is_nothing(folder: Folder) -> None:
    assert folder.headway("ls").code == 3
    folder.answer("why?")
    assert folder.headway("ls").code == 0


def test_the_store_may_come_from_the_environment(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWAY_STORE", "elsewhere")
    folder.answer("why?", "--run-id", "sky")
    assert not Path(".headway").exists()
    assert folder.headway("ls", "--json").json["store"] == "elsewhere"
    failed = folder.answer("why?", "-k", "how=raise", "--run-id", "sea")
    assert "resume with: headway resume sea --store elsewhere" in failed.err


def test_show_draws_the_run(folder: Folder) -> None:
    folder.answer("why?", "--run-id", "sky")
    shown = folder.headway("show", "sky").out
    for part in (
        "sky  ",
        "done",
        "7 ok",
        "budget tokens",
        "200 of 1,000",
        "✓ answer('why?', 3, how='')",
        "2 attempts",
        "'why?: 3'",
    ):
        assert part in shown
    assert "search" not in folder.headway("show", "sky", "--depth", "0").out
    assert "count(" not in folder.headway("show", "sky", "--task", "search").out


def test_show_answers_programs(folder: Folder) -> None:
    folder.answer("why?", "--run-id", "sky")
    shown = folder.headway("show", "sky", "--json").json
    assert shown["run"]["status"] == "done"
    assert [budget["spent"] for budget in shown["budgets"]] == [{"tokens": 200.0}]
    root = next(call for call in shown["calls"] if call["parent"] is None)
    assert (root["state"], root["value"], root["attempts"]) == ("ok", "'why?: 3'", 1)
    assert sum(call["parent"] == root["key"] for call in shown["calls"]) == 6
    assert sum(call["critical_s"] or 0.0 for call in shown["calls"]) == pytest.approx(shown["wall_s"])
    assert len(folder.headway("show", "sky", "--task", "search", "--json").json["calls"]) == 3


def test_show_draws_a_picture(folder: Folder) -> None:
    folder.answer("why?", "--run-id", "sky")
    assert folder.headway("show", "sky", "--gantt", "run.svg").code == 0
    assert "sky" in Path("run.svg").read_text()
    assert folder.headway("show", "sky", "--gantt", "no/run.svg").code == 2


def test_a_dry_run_says_what_would_be_reused_and_what_would_run(folder: Folder) -> None:
    folder.answer("why?", "-k", "how=raise", "--run-id", "sky")
    planned = folder.headway("resume", "sky", "--dry-run")
    assert "6 reused" in planned.out
    assert "1 run again" in planned.out
    plan = folder.headway("resume", "sky", "--dry-run", "--json").json
    assert [(call["task"], call["why"]) for call in plan["rerun"]] == [(f"{folder.stem}.answer", "failed")]
    assert len(plan["reuse"]) == 6
    assert folder.headway("ls", "--json").json["runs"][0]["drives"] == 1


def test_a_fork_runs_one_call_again_and_keeps_the_others(folder: Folder) -> None:
    folder.answer("why?", "--run-id", "sky")
    ambiguous = folder.headway("fork", "sky", "--at", "search")
    assert ambiguous.code == 2
    assert "names 3 calls" in ambiguous.err
    forked = folder.headway("fork", "sky", "--at", "search('why?', 2)", "--new-id", "sea")
    assert "sea: forked from sky at" in forked.out
    assert "run it with: headway resume sea" in forked.err
    assert folder.headway("ls", "--json").json["runs"][1]["status"] == "new"
    answer = folder.headway("resume", "sea", "--events", "events.jsonl")
    assert answer.out == "why?: 3\n"
    ended = list(read_events("events.jsonl"))[-1]
    assert isinstance(ended, RunEnded)
    assert ended.calls - ended.reused == 2


def test_a_signal_reaches_the_run_that_waits_for_it(folder: Folder) -> None:
    folder.answer("why?", "--run-id", "sky")
    assert folder.headway("signal", "sky", "go", '{"a": 1}').out == "sky: signal go sent\n"
    assert folder.headway("signal", "sky", "go", "--json").json == {"run_id": "sky", "done": "signal go sent"}


def test_gc_and_doctor_look_after_the_store(folder: Folder) -> None:
    folder.answer("why?", "--run-id", "sky")
    folder.answer("why?", "--run-id", "sea")
    assert "would remove 1 run," in folder.headway("gc", "--dry-run", "--delete", "sky").out
    assert folder.headway("gc", "--delete", "sky", "--vacuum", "--json").json["runs"] == 1
    assert [run["run_id"] for run in folder.headway("ls", "--json").json["runs"]] == ["sea"]
    assert ".headway: whole" in folder.headway("doctor").out
    assert folder.headway("doctor", "--json").json["findings"] == []


def test_a_damaged_store_is_found_and_repaired(folder: Folder) -> None:
    folder.answer("why?", "--run-id", "sky")
    database = Path(".headway/journal.db")
    database.write_bytes(database.read_bytes().replace(b"why?: 3", b"why?: 4"))
    damaged = folder.headway("doctor")
    assert damaged.code == 3
    assert "damaged" in damaged.out
    assert "doctor --repair --store .headway" in damaged.err
    assert folder.headway("show", "sky").code == 3
    repaired = folder.headway("doctor", "--repair")
    assert (repaired.code, "kept 1 run" in repaired.out) == (0, True)
    assert folder.headway("doctor").code == 0
    assert folder.headway("resume", "sky").out == "why?: 3\n"


def test_the_version_and_the_help_are_there(folder: Folder) -> None:
    assert folder.headway("--version").out.startswith("headway 0.")
    overview = folder.headway("--help").out
    for name in ("run", "resume", "ls", "show", "fork", "cancel", "signal", "gc", "doctor", "130 interrupted"):
        assert name in overview
    for name in ("run", "resume", "ls", "show", "fork", "cancel", "signal", "gc", "doctor"):
        assert folder.headway(name, "--help").code == 0


def test_failures_that_a_program_kept_are_asked_again(folder: Folder) -> None:
    Path("keeps.py").write_text(
        "import os\nimport headway as hw\n"
        "@hw.task\nasync def look(n: int) -> int:\n    assert n or os.path.exists('mended'), 'broken'\n    return n\n"
        "@hw.task\nasync def keeps() -> int:\n"
        "    return len([each for each in await hw.settle(look(0), look(1)) if each.error is None])\n"
    )
    assert folder.headway("run", "keeps.py:keeps", "--run-id", "kept").out == "1\n"
    Path("mended").touch()
    plan = folder.headway("resume", "kept", "--retry-failed", "--dry-run").out
    assert "keeps.look failed below" in plan
    assert "2 run again, 0 unfinished, 0 not asked for, 1 reused; nothing was run" in plan
    again = folder.headway("resume", "kept", "--retry-failed")
    assert (again.out, again.err) == ("2\n", "")
    assert "from the journal" in folder.headway("resume", "kept", "--retry-failed").err


def test_a_result_is_given_by_hand_and_shown_as_such(folder: Folder) -> None:
    Path("asks.py").write_text(
        "from dataclasses import dataclass\nimport headway as hw\n"
        "@dataclass\nclass Fact:\n    name: str\n    size: int\n"
        "@hw.task\nasync def look(name: str) -> Fact:\n    raise LookupError(name)\n"
        "@hw.task\nasync def asks() -> int:\n    return (await look('moon')).size\n"
    )
    assert folder.headway("run", "asks.py:asks", "--run-id", "asked").code == 1
    wrong = folder.headway("set", "asked", "look", '{"name": "moon"}')
    assert wrong.code == 2
    assert "does not fit Fact" in wrong.err
    given = folder.headway("set", "asked", "look:moon", '{"name": "moon", "size": 3475}', "--by", "Ada")
    assert given.out == "asked: asks.look('moon') has its result\n"
    assert folder.headway("resume", "asked").out == "3475\n"
    assert "given by Ada" in folder.headway("show", "asked", "--all").out
    assert "given by Ada" in [call["reason"] for call in folder.headway("show", "asked", "--json").json["calls"]]
    refused = folder.headway("set", "asked", "look", '{"name": "moon", "size": 1}')
    assert refused.code == 2
    assert "--force" in refused.err
