"""Multiverse: paths see what was written before and not each other, and the text is whole however the model slips."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from threads import BEGUN, Continues

import headway as hw
from headway import ModelError, UsageError
from headway.methods.plan import Woven, multiverse
from headway.methods.plan.tags.multiverse import TAGS
from headway.methods.plan.tags.reading import Block, read_blocks
from headway.methods.plan.tags.writing import Spent

GOAL = "Two parts. <Parallel><Goal><Outline>1: a</Outline><Outline>2: b</Outline></Goal>"


@pytest.fixture(autouse=True)
def _empty() -> None:
    BEGUN.clear()


@pytest.fixture
def weave(go: Callable[..., Any]) -> Callable[..., Woven]:
    """Let a script write, in a run."""

    def run(script: Callable[[str], str], prompt: str = "Q", *, rest_s: float = 0.0, **options: Any) -> Woven:
        @hw.task(name="multiverse.tests.weave")
        async def program() -> Woven:
            return await multiverse(Continues(script, rest_s=rest_s), prompt, **options)

        found: Woven = go(program, store=None)
        return found

    return run


def writes(
    path: Callable[[str], str] = lambda name: f" part {name}", *, goal: str = GOAL, end: str = "both</Conclusion></Parallel>"
) -> Callable[[str], str]:
    """A model that forks once."""

    def script(prompt: str) -> str:
        if prompt.endswith("<Conclusion>"):
            return end
        if prompt.endswith(":"):
            return path(prompt.rpartition("<Path>")[2][:-1])
        return " The end." if "</Parallel>" in prompt else goal

    return script


def test_paths_are_joined_in_the_order_of_their_outlines(weave):
    woven = weave(writes(lambda name: " slow and long" if name == "1" else " fast"), rest_s=0.5)
    assert woven.text == (
        GOAL + "<Path>1: slow and long</Path><Path>2: fast</Path><Conclusion>both</Conclusion></Parallel> The end."
    )
    assert woven.why == "ended"


def test_a_path_sees_what_was_before_and_no_other_path(weave):
    weave(writes())
    assert [prompt for prompt in BEGUN if prompt.endswith(":")] == [f"Q{GOAL}<Path>1:", f"Q{GOAL}<Path>2:"]


def test_paths_are_written_at_the_same_time(weave, clock):
    began = clock.now
    woven = weave(writes(lambda name: " a b c"), rest_s=1.0)
    assert clock.now - began == pytest.approx(woven.spent.sequential)
    assert woven.spent == Spent(5 + 4 + 1 + 3, 5 + 8 + 1 + 3)


def test_more_outlines_than_may_write_at_once_come_in_waves(weave):
    goal = "<Parallel><Goal>" + "".join(f"<Outline>{at}: x</Outline>" for at in range(1, 6)) + "</Goal>"
    woven = weave(writes(goal=goal), width=2)
    assert [path.text for path in woven.paths] == [f" part {name}" for name in range(1, 6)]
    assert woven.spent.sequential == 6 + 3 * 3 + 1 + 3


def test_a_block_within_a_path_is_forked_too(weave):
    inner = " deeper <Parallel><Goal><Outline>1.1: c</Outline><Outline>1.2: d</Outline></Goal>"

    def script(prompt: str) -> str:
        if prompt.endswith("<Conclusion>"):
            return "found</Conclusion></Parallel>"
        if prompt.endswith("<Path>1:"):
            return inner
        if prompt.endswith(":"):
            return " leaf"
        return GOAL if prompt == "Q" else " on"

    woven = weave(script)
    assert [len(path.paths) for path in woven.paths] == [2, 0]
    (block,) = [part for part in read_blocks(woven.text, TAGS) if isinstance(part, Block)]
    assert [path.text for path in block.blocks("Path")[0].blocks("Parallel")[0].blocks("Path")] == ["1.1: leaf", "1.2: leaf"]
    flat = weave(script, depth=1)
    assert [len(path.paths) for path in flat.paths] == [0, 0]


def test_a_path_that_fails_leaves_its_reason(weave):
    def path(name: str) -> str:
        if name == "2":
            raise ModelError("no way</Path>")
        return " fine"

    woven = weave(writes(path))
    assert "<Path>1: fine</Path><Path>2: ModelError: no way&lt;/Path></Path>" in woven.text
    assert [each.why for each in woven.paths] == ["ended", "failed"]


def test_an_error_that_is_not_named_fails_the_program(weave):
    with pytest.raises(ZeroDivisionError):
        weave(writes(lambda name: str(1 / 0)))


@pytest.mark.parametrize("wrote", ["</Parallel> out", "<Conclusion>mine", "<Path>", "</Goal></Parallel>", "<Parallel><Goal>"])
def test_a_path_can_not_break_what_is_around_it(weave, wrote):
    woven = weave(writes(lambda name: wrote if name == "1" else " fine"))
    (block,) = [part for part in read_blocks(woven.text, TAGS) if isinstance(part, Block)]
    assert (block.tag, block.closed, [each.text for each in block.blocks("Conclusion")]) == ("Parallel", True, ["both"])
    assert block.blocks("Path")[1].text == "2: fine"
    assert woven.text.endswith(" The end.")


@pytest.mark.parametrize("end", ["both", "both</Conclusion>", "both</Parallel>", "both</Conclusion></Parallel>"])
def test_a_block_is_closed_whatever_the_model_leaves_out(weave, end):
    assert weave(writes(end=end)).text.endswith("<Conclusion>both</Conclusion></Parallel> The end.")


@pytest.mark.parametrize(
    "goal",
    [
        "no tags at all",
        "<Parallel>",
        "<Parallel><Goal></Goal>",
        "<Parallel><Goal>none</Goal>",
        "<Outline>1: a</Outline>",
        "</Goal>",
    ],
)
def test_a_text_without_outlines_is_just_a_text(weave, goal):
    woven = weave(lambda prompt: goal if prompt == "Q" else " more")
    assert (woven.why, woven.paths) == ("ended", ())


def test_a_goal_that_is_cut_forks_nothing(weave):
    woven = weave(writes(), tokens=3)
    assert (woven.why, woven.paths, woven.spent) == ("tokens", (), Spent(3, 3))


@pytest.mark.parametrize("tokens", range(1, 15))
def test_nobody_writes_more_than_the_bound(weave, tokens):
    woven = weave(writes(lambda name: " a b c"), tokens=tokens)
    assert woven.spent.sequential <= tokens
    assert (woven.why == "ended") == (tokens >= 13)
    assert weave(writes(lambda name: " a b c"), path_tokens=2).paths[0].why == "tokens"


def test_a_model_that_forks_for_ever_runs_out_of_tokens(weave):
    woven = weave(lambda prompt: "x" if prompt.endswith((":", "<Conclusion>")) else GOAL, tokens=40)
    assert (woven.why, woven.spent.sequential <= 40) == ("tokens", True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tokens": 0}, "multiverse: tokens=0"),
        ({"path_tokens": 0}, "multiverse: path_tokens=0"),
        ({"width": 0}, "multiverse: width=0"),
        ({"depth": -1}, "multiverse: depth=-1"),
        ({"seed": 0.5}, "multiverse: seed=0.5"),
        ({"prompt": ""}, "multiverse: prompt=''"),
        ({"errors": "no"}, "errors='no'"),
        ({"sampling": {"stop": ["x"]}}, "multiverse: sampling has stop"),
    ],
)
def test_senseless_settings_are_refused_before_anything_is_asked(weave, options, says):
    with pytest.raises(UsageError, match=says):
        weave(writes(), **{"prompt": "Q", **options})
    assert BEGUN == []
