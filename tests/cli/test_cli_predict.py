"""`headway predict`, as a user writes it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from commandline import Folder

from headway.cli.commands.predict import read_duration


@pytest.fixture
def sky(folder: Folder) -> Folder:
    """A folder with a run to predict from."""
    assert folder.answer("why?", "6", "--run-id", "sky").code == 0
    return folder


def test_it_says_makespan_cost_and_chances_and_draws_a_picture(sky: Folder) -> None:
    answer = sky.headway(
        "predict", "sky", "--workers", "4", "--mtbf", "6h", "--within", "2h", "--budget", "tokens=1e6", "--trials", "5"
    )
    assert answer.code == 0
    for said in (
        "makespan",
        "tokens",
        "calls lost",
        "4 workers will take",
        "the chance to end within 2 h 0 min is 100% (57% to 100%)",
    ):
        assert said in answer.out
    assert "the chart is in sky-prediction.svg" in answer.err
    assert ET.parse("sky-prediction.svg").getroot().tag.endswith("svg")


def test_it_prints_one_json_document_that_is_the_same_each_time(sky: Folder) -> None:
    asked = ("predict", "sky", "--workers", "2", "--mtbf", "1h", "--trials", "4", "--seed", "3", "--json", "--svg", "a.svg")
    document = sky.headway(*asked).json
    assert document == sky.headway(*asked).json
    prediction = document["prediction"]
    assert (prediction["workers"], prediction["mtbf_s"], prediction["trials"], prediction["seed"]) == (2, 3600.0, 4, 3)
    assert prediction["makespan_s"]["p50"] > 0
    assert len(prediction["makespans_s"]) == 4
    assert [point["workers"] for point in prediction["curve"]] == sorted({point["workers"] for point in prediction["curve"]})
    assert document["picture"] == "a.svg"
    assert Path("a.svg").exists()


def test_an_estimate_counts_instead_of_the_record(sky: Folder) -> None:
    asked = ("predict", "sky", "--workers", "1", "--pool", "inline", "--estimate", "search=2m", "--trials", "3", "--json")
    document = sky.headway(*asked).json
    assert document["prediction"]["makespan_s"]["p50"] == pytest.approx(7 * 120, rel=0.01)  # six calls, one of them tried twice
    assert document["prediction"]["pool"] == "inline"


def test_orders_of_the_calls_that_wait_are_compared(sky: Folder) -> None:
    Path("mine.py").write_text("def order(waiting):\n    return [-each.number for each in waiting]\n")
    asked = ("predict", "sky", "--workers", "2", "--trials", "3", "--order", "longest-first", "--order", "mine.py:order")
    answer = sky.headway(*asked)
    assert answer.code == 0
    assert "as without one" in answer.out
    orders = sky.headway(*asked, "--json").json["prediction"]["orders"]
    assert [each["order"] for each in orders] == ["longest-first", "mine.py:order"]
    assert all(each["low"] <= each["saved"] <= each["high"] for each in orders)


def test_an_order_that_gives_too_few_numbers_is_named(sky: Folder) -> None:
    Path("few.py").write_text("def order(waiting):\n    return []\n")
    answer = sky.headway("predict", "sky", "--workers", "2", "--trials", "3", "--order", "few.py:order")
    assert answer.code == 2
    assert "order=order: it gave [] for" in answer.err
    assert "Give another order, or none" in answer.err


def test_a_run_that_was_interrupted_is_predicted_from_what_is_there(folder: Folder) -> None:
    folder.process("run", folder.target("answer"), "why?", "-k", "how=stop", "--run-id", "cut")
    answer = folder.headway("predict", "cut", "--workers", "2", "--trials", "3")
    assert answer.code == 0
    assert "the run is not finished" in answer.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--mtbf", "often"), "--mtbf 'often' is no duration"),
        (("--mtbf", "0s"), "mtbf_s = 0.0"),
        (("--within", "5x"), "--within '5x' is no duration"),
        (("--repair", "-3"), "--repair '-3' is no duration"),
        (("--budget", "tokens"), "--budget 'tokens': write UNIT=AMOUNT"),
        (("--budget", "tokens=-1"), "--budget 'tokens=-1': write UNIT=AMOUNT"),
        (("--estimate", "search"), "--estimate 'search': write TASK=DURATION"),
        (("--estimate", "serch=2s"), "no calls of 'serch'"),
        (("--order", "longest"), "--order 'longest': did you mean 'longest-first'"),
        (("--order", "soonest"), "--order 'soonest': there are first-come, edd, mdd,"),
        (("--order", "soon.py:order"), "soon.py"),
        (("--pool", "process"), "no calls in pool 'process'"),
        (("--svg", "no such folder/a.svg"), "the picture cannot be written"),
    ],
)
def test_nonsense_is_answered_in_a_sentence(sky: Folder, options: tuple[str, ...], said: str) -> None:
    answer = sky.headway("predict", "sky", "--workers", "2", *options)
    assert answer.code == 2
    assert said in answer.err
    assert "Traceback" not in answer.err


def test_an_unknown_run_is_a_problem_of_the_store(sky: Folder) -> None:
    answer = sky.headway("predict", "sea", "--workers", "2")
    assert answer.code == 3
    assert "sea" in answer.err


def test_durations_are_read_as_people_write_them() -> None:
    written = ["90s", "15m", "6h", "2d", "90", "2.5", "1h30m", "250ms", "5min", " 3 h "]
    assert [read_duration(text) for text in written] == [90, 900, 21_600, 172_800, 90, 2.5, 5400, 0.25, 300, 10_800]
    for wrong in ("", "h", "5x", "-3s", "1e3", "3h5", "nan", "1 2"):
        with pytest.raises(ValueError, match=f"^{re.escape(wrong)}$"):
            read_duration(wrong)
