"""A researcher over a real MCP server that is killed at one moment after the other: nothing it knows is asked again, and nothing is
filed twice."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from victims import LIMIT_S, Victims, check_recorded_once, often, rows

pytest.importorskip("pyworldatlas", reason="without the extra `assistant`")
pytest.importorskip("mcp", reason="without the extra `mcp`")

MOMENTS = {"a request begins", "a report is on the disk", "an answer is recorded", "a report begins"}


def read_log(victims: Victims, name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (victims.folder / "store.pages" / "library" / name).read_text().splitlines()]


def check_nothing_known_is_asked(victims: Victims, kills: int) -> None:
    """A request whose answer is recorded does not come to the server again."""
    asked, known = read_log(victims, "asked.jsonl"), set[str]()
    seen = 0
    for what, *words in victims.lines("store"):
        if what == "asked":
            again = {line["key"] for line in asked[seen : int(words[0])]} & known
            assert not again, f"answered, and asked again: {again}"
            seen = int(words[0])
        elif what == "recorded":
            known.add(words[0])
    assert not {line["key"] for line in asked[seen:]} & known
    assert len(known) > kills
    assert len(known - {line["key"] for line in asked}) <= kills  # a report that was lost on the way: nobody knows what came of it


@pytest.mark.on_postgres("make chaos")
@pytest.mark.long
def test_a_researcher_that_is_killed_again_and_again_files_each_report_once(victims):
    kills, questions = 4 * often(1), 1 + often(1)
    process = victims.start("research.py", "store", kills, questions)
    assert process.wait(LIMIT_S * 3) == 0, victims.said("store")
    assert len(victims.lines("store", "died")) == kills
    assert {" ".join(words) for _, *words in victims.lines("store", "dies")} == MOMENTS
    answers = json.loads(victims.result("store"))
    assert len(answers) == questions
    filed = Counter(line["question"] for line in read_log(victims, "filed.jsonl"))
    assert set(filed.values()) == {1}
    assert len(filed) == questions
    assert sorted(line["answer"] for line in read_log(victims, "filed.jsonl")) == sorted(answers)
    check_nothing_known_is_asked(victims, kills)
    check_recorded_once(rows(victims.store()))
