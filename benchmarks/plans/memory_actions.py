"""Record and replay on a phone of apps: how much is replayed, what the guard is worth, and whether tasks end as well as before.

A task is one of 5 apps x 3 flows x 12 things: "search for shoes in bravo and open the first result". A screen has buttons at
places; an action taps a place or types. The model knows each flow and finds a button by its label, but slips once in a hundred
steps. After each task an app's screens are arranged anew with a probability of 3 %: then a recorded place holds another button.
The threshold is the paper's. That a shortcut needs a task that is alike was decided on seeds from 100 on.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, NamedTuple

import headway as hw
from benchmarks.methods.row import Held, Pair, Row
from headway.methods.memory import Rules, Tree, World, replay
from headway.methods.memory.actions.choosing import looks_same

Load = Literal["uniform", "power law"]
Way = Literal["replay", "without shortcuts", "without guard", "exact", "model"]

APPS = ("alpha", "bravo", "coral", "delta", "ember")
THINGS = ("shoes", "hats", "lamps", "pens", "maps", "cups", "boats", "kites", "drums", "bells", "ropes", "tents")
FLOWS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "search": ("search for {thing} in {app} and open the first result", ("field", "type", "go", "first")),
    "message": ("message the group of {thing} in {app} that dinner is ready", ("groups", "find", "type", "write", "send")),
    "order": ("order two {thing} from {app} to the office by tomorrow", ("catalog", "type", "pick", "cart", "pay", "confirm")),
}
LABELS = sorted({label for _, steps in FLOWS.values() for label in steps} - {"type"})
TASKS, SLIPS, REARRANGED = 150, 0.01, 0.03
HOT, TIMES = 0.2, 16  # a power law: a fifth of the tasks, sixteen times as often


class Errand(NamedTuple):
    """A task, and the labels that must be tapped, or the text that must be typed, in turn."""

    text: str
    app: str
    wanted: tuple[str, ...]


def all_errands() -> list[Errand]:
    """Every task that there is."""
    return [
        Errand(text.format(thing=thing, app=app), app, (app, *(f"type {thing}" if step == "type" else step for step in steps)))
        for text, steps in FLOWS.values()
        for app in APPS
        for thing in THINGS
    ]


def draw_errands(seed: int, load: Load, count: int = TASKS) -> list[Errand]:
    """The tasks of a day, in their order."""
    rng = random.Random(f"errands {seed} {load}")
    errands = all_errands()
    rng.shuffle(errands)
    hot = int(len(errands) * HOT)
    weights = [TIMES if place < hot and load == "power law" else 1 for place in range(len(errands))]
    return rng.choices(errands, weights, k=count)


@dataclass
class Phone:
    """The phone: where its buttons are, and what was tapped and typed since home."""

    rng: random.Random
    places: dict[str, list[str]] = field(default_factory=dict)  # by app ("" is home): the label at each place
    app: str = ""
    done: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.places = {"": [*APPS], **{app: [*LABELS] for app in APPS}}
        for labels in self.places.values():
            self.rng.shuffle(labels)

    def rearrange(self) -> None:
        """Between two tasks: go home; some apps have a new version."""
        self.app, self.done = "", []
        for labels in self.places.values():
            if self.rng.random() < REARRANGED:
                self.rng.shuffle(labels)


class View(NamedTuple):
    """What is on the screen: the app, what was tapped or typed last, and the label at each place."""

    app: str
    last: str
    labels: tuple[str, ...]


PHONES: dict[str, Phone] = {}
"""The phone in use; a program has one."""


@hw.task(name="phone.see")
async def see() -> View:
    """The screen."""
    phone = PHONES["one"]
    return View(phone.app, phone.done[-1] if phone.done else "", tuple(phone.places[phone.app]))


@hw.task(name="phone.act", effect=True)
async def act(action: str) -> None:
    """Tap a place, or type. "tap 3 cart" says what was thought to be there; only the place counts."""
    phone = PHONES["one"]
    verb, what = action.split()[:2]
    if verb == "type":
        phone.done.append(action)
        return
    label = phone.places[phone.app][int(what)]
    phone.app = label if not phone.app else phone.app
    phone.done.append(label)


def target(view: View, action: str | None) -> object:
    """The label at the place that is tapped; for typing what has the focus, and for the end what came last."""
    if action is None or action.startswith("type"):
        return view.app, view.last.split()[0]
    place = int(action.split()[1])
    return (view.app, view.labels[place]) if place < len(view.labels) else None


def name_of(action: str) -> str:
    """What a shortcut knows of an action: the label that is tapped, or that something is typed."""
    return action.split()[-1] if action.startswith("tap") else "type"


class Went(NamedTuple):
    """How a day went."""

    rate: float  # steps replayed of all executed
    success: float  # tasks that ended well
    refused: int  # by the guard
    wrong: int  # steps replayed that the model would not have taken
    steps: int


@hw.task
async def run_day(seed: int, load: Load, way: Way) -> Went:
    """Do the tasks of a day, one after the other."""
    phone = PHONES["one"] = Phone(random.Random(f"phone {seed}"))
    slips = random.Random(f"slips {seed}")
    look = (lambda then, now: True) if way == "without guard" else looks_same
    world = World(see, act, target, same_look=look, name_of=name_of)
    rules = Rules("exact" if way in ("exact", "model") else "fuzzy", shortcuts=way in ("replay", "without guard"))
    tree: Tree[str] = Tree()
    replayed = steps = refused = wrong = well = 0
    for errand in draw_errands(seed, load):
        phone.rearrange()

        async def generate(task: str, view: Any, done: tuple[str, ...], errand: Errand = errand) -> str | None:
            return decide(errand, view, len(done), slips)

        def check(task: str, view: Any, errand: Errand = errand) -> bool:
            return is_done(errand)

        ran = await replay(errand.text, tree, world, generate, rules=rules, check=check, steps=12)
        tree = tree if way == "model" else ran.tree
        replayed, steps, refused = replayed + ran.replayed, steps + ran.replayed + ran.generated, refused + ran.refused
        well += bool(ran.success and ran.done)
        wrong += bool(ran.replayed and not ran.success)
    return Went(replayed / steps, well / TASKS, refused, wrong, steps)


def decide(errand: Errand, view: View, done: int, slips: random.Random) -> str | None:
    """What the model does next: the button by its label, now and then the wrong one; None at the end or where it is lost."""
    if done == len(errand.wanted):
        return None
    wanted, labels = errand.wanted[done], view.labels
    if wanted.startswith("type"):
        return wanted
    if wanted not in labels:
        return None
    place = slips.randrange(len(labels)) if slips.random() < SLIPS else labels.index(wanted)
    return f"tap {place} {labels[place]}"


def is_done(errand: Errand) -> bool:
    """Whether the right buttons were tapped and the right words typed, in their order."""
    return PHONES["one"].done == list(errand.wanted)


@cache
def day(seed: int, load: Load, way: Way) -> Went:
    """How a day goes, in a run."""
    return hw.run(run_day, seed, load, way, store=None)


def rates(load: Load, way: Way, other: Way) -> Any:
    return lambda seed: Pair(day(seed, load, way).rate, day(seed, load, other).rate)


def refused(seed: int, load: Load) -> float:
    """Which share of the steps the guard refused to replay."""
    went = day(seed, load, "replay")
    return went.refused / went.steps


def successes(load: Load, way: Way, other: Way) -> Any:
    return lambda seed: Pair(day(seed, load, way).success, day(seed, load, other).success)


_TESTS = "tests/methods/memory/test_replaying.py"
_COMMON: dict[str, Any] = {
    "method": "MOBIMEM",
    "function": "headway.methods.memory.replay",
    "item": "memory",
    "claim": "actions that were recorded are replayed for other tasks, behind a guard",
    "compare": "difference",
}
_RATE = "steps replayed of all executed, 150 tasks"

ROWS: list[Row | Held] = [
    Row(
        **_COMMON,
        shows="uniform tasks: more is replayed than by a cache of exact tasks",
        baseline="a cache of exact tasks, behind the same guard",
        unit=_RATE,
        measure=rates("uniform", "replay", "exact"),
        reached=lambda low, high: low > 0,
        test=f"{_TESTS}::test_a_task_that_is_alike_shares_what_does_not_depend_on_its_own_words",
    ),
    Row(
        **_COMMON,
        shows="power-law tasks (a fifth of them 16 times as often): more is replayed than by a cache of exact tasks",
        baseline="a cache of exact tasks, behind the same guard",
        unit=_RATE,
        measure=rates("power law", "replay", "exact"),
        reached=lambda low, high: low > 0,
        test=f"{_TESTS}::test_a_task_that_is_alike_shares_what_does_not_depend_on_its_own_words",
    ),
    Row(
        **_COMMON,
        shows="power-law tasks are replayed more than uniform ones",
        baseline="the same on uniform tasks",
        unit=_RATE,
        measure=lambda seed: Pair(day(seed, "power law", "replay").rate, day(seed, "uniform", "replay").rate),
        reached=lambda low, high: low > 0,
        test=f"{_TESTS}::test_the_same_task_is_replayed_as_a_whole",
    ),
    Row(
        **_COMMON,
        shows="shortcuts replay last steps that no task took on that branch",
        baseline="the same without shortcuts",
        unit=_RATE + ", uniform",
        measure=rates("uniform", "replay", "without shortcuts"),
        reached=lambda low, high: low > 0,
        test=f"{_TESTS}::test_a_shortcut_replays_the_last_step_of_a_branch_that_nobody_took",
    ),
    Row(
        **_COMMON,
        shows="uniform tasks: as many end well as where the model decides each step, within two points",
        baseline="the model decides each step",
        unit="share of 150 tasks that end well",
        measure=successes("uniform", "replay", "model"),
        reached=lambda low, high: low > -0.02,
        test=f"{_TESTS}::test_a_failed_task_is_taken_out_of_the_tree",
    ),
    Row(
        **_COMMON,
        shows="power-law tasks: as many end well as where the model decides each step, within two points",
        baseline="the model decides each step",
        unit="share of 150 tasks that end well",
        measure=successes("power law", "replay", "model"),
        reached=lambda low, high: low > -0.02,
        test=f"{_TESTS}::test_a_failed_task_is_taken_out_of_the_tree",
    ),
    Row(
        **_COMMON,
        shows="the guard: more tasks end well than without it",
        baseline="the same without a guard",
        unit="share of 150 tasks that end well, power law",
        measure=successes("power law", "replay", "without guard"),
        reached=lambda low, high: low > 0,
        test=f"{_TESTS}::test_a_step_whose_target_looks_otherwise_is_decided_anew_and_learned",
    ),
    Row(
        **_COMMON,
        shows="the guard: fewer tasks fail after a replay than without it",
        baseline="the same without a guard",
        unit="tasks of 150 that failed after a replay, power law",
        measure=lambda seed: Pair(day(seed, "power law", "replay").wrong, day(seed, "power law", "without guard").wrong),
        reached=lambda low, high: high < 0,
        test=f"{_TESTS}::test_a_step_whose_target_looks_otherwise_is_decided_anew_and_learned",
    ),
    Row(
        **_COMMON,
        shows="the guard refuses about as many steps on power-law as on uniform tasks, within ten points",
        baseline="uniform tasks",
        unit="steps that the guard refused, of all executed, power law",
        measure=lambda seed: Pair(refused(seed, "power law"), refused(seed, "uniform")),
        reached=lambda low, high: -0.1 < low <= high < 0.1,
        test=f"{_TESTS}::test_a_step_whose_target_looks_otherwise_is_decided_anew_and_learned",
    ),
    Held(
        item="memory",
        promise="MOBIMEM: wherever a task is killed it goes on, and no action that was recorded is done twice",
        tests=(f"{_TESTS}::test_wherever_it_is_killed_it_goes_on_and_repeats_no_action_that_was_recorded",),
    ),
    Held(
        item="memory",
        promise="MOBIMEM: a tree has what each task did; without a failed one what the others did; older trees stay",
        tests=(
            "tests/methods/memory/test_action_tree.py::"
            "test_a_tree_has_what_each_task_did_and_without_a_failed_one_what_the_others_did",
            f"{_TESTS}::test_what_one_run_did_another_replays_until_it_fails_or_is_forgotten",
        ),
    ),
    Held(
        item="memory",
        promise="MOBIMEM: no task, no world, actions that are no effects, percentages: one sentence before anything is done",
        tests=(
            f"{_TESTS}::test_a_bad_call_is_refused_before_anything_is_done",
            f"{_TESTS}::test_what_makes_no_sense_is_refused_where_it_is_made",
        ),
    ),
]
