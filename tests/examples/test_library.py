"""The library that `make demo-research` reads in: its questions, pages and server, and the plans of people that are run over it."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("pyworldatlas", reason="without the extra `assistant`")
pytest.importorskip("mcp", reason="without the extra `mcp`")

import headway as hw
from headway import tools
from headway.methods.plan.accuracy import loose_accuracy, strict_accuracy
from library import asking, fanout, oracle, own_questions, pages, planned, server
from library.lines import read_lines

WHEEL = Path(os.environ.get("HEADWAY_FANOUTQA", Path(__file__).parents[2] / ".venv" / "data" / fanout.WHEEL))
SUMMARIES = Path(os.environ.get("HEADWAY_SUMMARIES", ""))


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    file = tmp_path_factory.mktemp("questions") / "questions.json"
    file.write_text(json.dumps(own_questions.make_questions(3)))
    return fanout.load_questions(file)


def serve(folder, questions, **settings):
    """A library in this process."""
    web = pages.Web(pages.pages_of_atlas() | pages.pages_of_questions(questions))
    desk = server.Desk(folder, server.World(**settings))
    return tools.McpServer(name="library", target=server.make_server(desk, web), read_only="declared")


# --- questions and pages ---------------------------------------------------------------------------------------------


def test_a_file_that_is_not_there_says_how_to_fetch_it(tmp_path):
    with pytest.raises(fanout.NoQuestions, match=r"pip download --no-deps -d .* fanoutqa==1\.1\.1"):
        fanout.load_questions(tmp_path / fanout.WHEEL)


def test_a_file_that_was_tampered_with_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / fanout.WHEEL, "w") as file:
        file.writestr("fanoutqa/data/fanout-final-dev.json", "[]")
    with pytest.raises(fanout.NoQuestions, match="delete it and fetch it again"):
        fanout.load_questions(tmp_path / fanout.WHEEL)


@pytest.mark.skipif(not WHEEL.is_file(), reason="FanOutQA's wheel is not here: set HEADWAY_FANOUTQA")
def test_the_pages_of_fanoutqa_answer_its_questions():
    asked = fanout.load_questions(WHEEL)
    made = pages.pages_of_questions(asked)
    assert (len(asked), sum(len(question.leaves()) for question in asked), len(made)) == (310, 2142, 1594)
    said = {each.id: "\n".join(pages.find_line(made[leaf.title], leaf.question) for leaf in each.leaves()) for each in asked}
    assert sum(loose_accuracy(each.answer, said[each.id]) for each in asked) / len(asked) > 0.95
    assert sum(strict_accuracy(each.answer, said[each.id]) for each in asked) / len(asked) > 0.85


@pytest.mark.skipif(not WHEEL.is_file() or not SUMMARIES.is_file(), reason="set HEADWAY_FANOUTQA and HEADWAY_SUMMARIES")
def test_a_page_is_found_among_ten_thousand_others():
    asked = fanout.load_questions(WHEEL)[:40]
    web = pages.Web(pages.pages_of_summaries(SUMMARIES) | pages.pages_of_questions(asked))
    assert len(web) > 10_000
    leaves = [leaf for question in asked for leaf in question.leaves()]
    assert sum(leaf.title in web.search(leaf.question)[:1] for leaf in leaves) / len(leaves) > 0.9


def test_a_search_finds_the_page_and_the_line_that_say_it(questions):
    web = pages.Web(pages.pages_of_atlas() | pages.pages_of_questions(questions))
    for question in questions:
        for leaf in question.leaves():
            assert web.search(leaf.question)[0] == leaf.title
            assert pages.find_line(web.open(leaf.title), leaf.question) == f"{leaf.question} {fanout.say(leaf.answer)}"
    assert web.search("qqq zzz") == []
    assert pages.find_line("", "anything") == ""


# --- the server ------------------------------------------------------------------------------------------------------


def test_latencies_and_failures_depend_on_the_request_alone():
    world, other = server.World(seed=1, latency_s=0.1, fails=0.3), server.World(seed=2, latency_s=0.1, fails=0.3)
    asked = [("search", str(number)) for number in range(2_000)]
    assert [world.latency_of(*each) for each in asked] == [world.latency_of(*each) for each in asked]
    assert [world.latency_of(*each) for each in asked] != [other.latency_of(*each) for each in asked]
    assert 0.09 < sum(world.latency_of(*each) for each in asked) / len(asked) < 0.11
    assert 0.27 < sum(world.failures_of(*each) > 0 for each in asked) / len(asked) < 0.33
    assert max(world.failures_of(*each) for each in asked) < asking.TRIES  # whoever asks so often gets an answer


def test_a_desk_remembers_what_was_asked_before_its_server_died(tmp_path):
    (tmp_path / "asked.jsonl").write_text('{"tool": "open", "arguments": "{}", "key": "k"}\n' * 2 + '{"tool": "op')
    desk = server.Desk(tmp_path, server.World())
    assert (desk.count, desk.seen) == (2, {("open", "{}"): 2})


def test_a_report_is_filed_once_even_if_its_answer_is_lost(tmp_path, questions):
    failing = next(seed for seed in range(99) if server.World(seed, fails=0.5).failures_of("file_report", '{"question": "q"}'))
    library = serve(tmp_path, questions, seed=failing, fails=0.5)
    assert hw.run(asking.file_once, library, "q", "a", store=None, progress=False)
    assert [line["question"] for line in read_lines(tmp_path / "filed.jsonl")] == ["q"]
    assert [line["tool"] for line in read_lines(tmp_path / "asked.jsonl")][:2] == ["file_report", "is_filed"]


def test_what_the_library_does_not_have_is_no_answer(tmp_path, questions):
    @hw.task(name="examples.tests.ask_in_vain")
    async def program() -> str:
        (open_page,) = await tools.list_mcp_tools(serve(tmp_path, questions), only=["open"])
        try:
            await asking.ask(open_page, title="Atlantis")
        except asking.NoAnswer as error:
            return str(error)
        return ""

    assert "there is no page 'Atlantis'" in hw.run(program, store=None, progress=False)
    assert len(read_lines(tmp_path / "asked.jsonl")) == 1  # it is not asked again for what is not there


# --- oracle plans ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def looked_up(questions, tmp_path_factory):
    """Each question answered in each way, over libraries that fail alike."""

    @hw.task(name="examples.tests.answer_all")
    async def program(way: str) -> list[oracle.Answered]:
        library = serve(tmp_path_factory.mktemp("library"), questions, fails=0.3)
        return [await oracle.answer_by_oracle(library, question, way) for question in questions]

    return {way: hw.run(program, way, store=None, progress=False) for way in oracle.ORDERS}


def test_all_ways_find_the_same_with_as_many_calls(looked_up, questions):
    for question, *answers in zip(questions, *looked_up.values(), strict=True):
        assert len({(each.answer, each.calls, each.searches, each.tokens, each.failed) for each in answers}) == 1
        assert strict_accuracy(question.answer, answers[0].answer)
    calls = sum(each.calls for each in looked_up["dataflow"])
    assert calls > 2 * sum(len(question.leaves()) for question in questions)  # some failed, and were made again


def test_the_less_a_way_waits_the_fewer_tokens_wait_for_each_other(looked_up):
    for one_by_one, rounds, dataflow in zip(*looked_up.values(), strict=True):
        assert one_by_one.critical_tokens == one_by_one.tokens
        assert dataflow.critical_tokens <= rounds.critical_tokens < one_by_one.critical_tokens
        assert dataflow.rounds == rounds.rounds < one_by_one.rounds


def test_a_plan_waits_for_what_people_say_must_be_answered_before(looked_up, questions):
    needs = {node.id: {need.step for need in node.needs} for node in looked_up["dataflow"][2].ran.graph}
    assert needs["2-near search"] == set()
    assert needs["2-0-capital search"] == {"2-near open"}  # what the question needs that it is a part of
    assert needs["2-0-lives search"] == {"2-near open", "2-0-capital open"}
    assert all(of == {f"{id.removesuffix(' open')} search"} for id, of in needs.items() if id.endswith("open"))
    assert [looked_up["dataflow"][number].rounds for number in range(3)] == [4, 4, 6]


# --- questions to the atlas ------------------------------------------------------------------------------------------


def test_the_right_plans_give_the_right_answers_over_the_server(tmp_path, questions, monkeypatch):
    asked = planned.choose_questions(12, 3)
    monkeypatch.setitem(planned.PLANNERS, f"{__file__}:BOOK", planned.Planner(shots=None))
    library = serve(tmp_path, questions, fails=0.3)

    @hw.task(name="examples.tests.plan_all")
    async def program() -> list[planned.Planned]:
        return [await planned.answer_by_planner(library, each, f"{__file__}:BOOK") for each in asked]

    found = hw.run(program, store=None, progress=False)
    assert all(each.exact and not each.fault for each in found)
    assert all(each.answer == each.gold != "" for each in found)
    assert {each.question for each in found} == {each.text for each in asked}


class Book:
    """Writes the right plan of a question, which it looks up: for what stands around a planner, and not for planners."""

    name = "book"

    async def stream(self, request):
        from headway import models

        plans = {each.prompt: each.plan for each in planned.choose_questions(12, 3)}
        for line in plans[request.prompt].splitlines(keepends=True):
            yield models.Piece(line, tokens=8)
        yield models.Piece(finish="stop")


BOOK = Book()
