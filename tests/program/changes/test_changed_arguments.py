"""A task that changes its arguments fails and names them: however they were given and wherever it runs."""

from __future__ import annotations

import collections
import dataclasses
import functools
import random
import threading
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import numpy as np
import pydantic
import pytest
import torch
from changing import WAYS, Client, Fixed, Form, Note, Pair, Speaks, State, change, change_in_process, change_in_thread
from notes import RAN

import headway as hw


@dataclasses.dataclass(frozen=True)
class Case:
    turns: list[str]


class FixedNote(msgspec.Struct, frozen=True):
    turns: list[str]


class Lazy(pydantic.BaseModel):
    words: list[str]

    @functools.cached_property
    def count(self) -> int:
        return len(self.words)


@dataclasses.dataclass
class LazyState:
    words: list[str]

    @functools.cached_property
    def count(self) -> int:
        return len(self.words)


CHANGES: list[tuple[Callable[[], Any], str, str]] = [
    (list, "value.append(1)", "a list"),
    (lambda: [3, 1, 2], "value.sort()", "a list"),
    (lambda: [1], "value[0] = 1.0", "a list"),
    (lambda: {"a": 1}, "value['a'] += 1", "a dict"),
    (lambda: collections.defaultdict(list), "value['asked for']", "a defaultdict"),
    (lambda: collections.OrderedDict(a=1, b=2), "value.move_to_end('a')", "an OrderedDict"),
    (lambda: collections.Counter("ab"), "value.update('a')", "a Counter"),
    (lambda: collections.deque([1, 2]), "value.popleft()", "a deque"),
    (lambda: {1, 2}, "value.discard(2)", "a set"),
    (lambda: bytearray(b"ab"), "value[0] = 0", "a bytearray"),
    (lambda: ([1], 2), "value[0].append(2)", "a tuple"),
    (lambda: [{"content": ["hi"]}], "value[0]['content'].append('x')", "a list"),
    (lambda: State(), "value.turns.append('x')", "a State"),
    (lambda: {"state": State()}, "value['state'].turns += ['x']", "a dict"),
    (lambda: Case([]), "value.turns.append('x')", "a Case"),
    (lambda: Note("a"), "value.text = 'b'", "a Note"),
    (lambda: FixedNote([]), "value.turns.append('x')", "a FixedNote"),
    (lambda: Form(), "value.fields['x'] = 1", "a Form"),
    (lambda: Pair("a", []), "value.turns.append('x')", "a Pair"),
    (lambda: Speaks(), "value.model = 'other'", "a Speaks"),
    (lambda: np.zeros(3), "value += 1", "a ndarray"),
    (lambda: np.arange(1_000_000.0), "value[123_457] = 0", "a ndarray"),
    (lambda: torch.zeros(3), "value.add_(1)", "a Tensor"),
    (lambda: torch.nn.Parameter(torch.zeros(3)), "value.data[1] = 5", "a Parameter"),
    (list, "value.append(value)", "a list"),
    (list, "value.append(lambda: 1)", "a list"),  # which has no canonical form any more
]


@pytest.mark.parametrize(("make", "how", "kind"), CHANGES, ids=[f"{kind}: {how}" for _, how, kind in CHANGES])
@pytest.mark.parametrize("task", [change, change_in_thread], ids=["inline", "thread"])
def test_a_task_that_changes_its_argument_fails_and_names_it(go, task, make, how, kind):
    @hw.task(name="program")
    async def program() -> None:
        with pytest.raises(hw.ArgumentChanged, match=rf"{task.name}: argument value \({kind}\) {WAYS}") as caught:
            await task(make(), how)
        assert caught.value.value == "done"  # what was paid for is not thrown away

    go(program)


UNCHANGED: list[tuple[Callable[[], Any], str]] = [
    (lambda: [1, [2], {"a": {3}}], "list(value).append(4)"),
    (lambda: {"b": 1, "a": 2}, "value['b'] = value.pop('b')"),  # in another order it is equal
    (lambda: {"a": 1}, "value.get('b'); value.setdefault('a', 2)"),
    (lambda: collections.defaultdict(list, a=[]), "value.get('b'); value['a']"),
    (lambda: {1, 2}, "value.add(1)"),
    (lambda: State(), "value.seen['x'] = 1"),  # it does not take part in the comparison
    (lambda: Speaks(), "value.asked += 1"),  # and this is no part of what the object says it is
    (lambda: Lazy(words=["a"]), "value.count"),
    (lambda: LazyState(["a"]), "value.count"),
    (lambda: Fixed(1, ("a",)), "hash(value)"),
    (lambda: Form(), "value.model_fields_set"),
    (lambda: np.arange(6.0).reshape(2, 3).T, "value.copy(); value.sum()"),
    (lambda: np.array([float("nan"), 1.0]), "value[1] = 1.0"),
    (lambda: float("nan"), "value + 1"),
    (lambda: torch.ones(2, requires_grad=True), "(value * 2).sum().backward()"),  # a gradient is no part of the value
    (lambda: [1, 2], "value.append(3); value.pop()"),
    (lambda: (1, "a", (2.5, None, frozenset({1}))), "hash(value)"),
    (lambda: print, "value"),
    (lambda: Fixed, "value"),
    (lambda: slice(1, 2), "value"),
    (lambda: memoryview(b"abc"), "value[0]"),
]


@pytest.mark.parametrize(("make", "how"), UNCHANGED, ids=[how for _, how in UNCHANGED])
@pytest.mark.parametrize("task", [change, change_in_thread], ids=["inline", "thread"])
def test_a_task_that_leaves_its_argument_equal_is_left_alone(go, task, make, how):
    @hw.task(name="program")
    async def program() -> str:
        return await task(make(), how)

    assert go(program) == "done"


def test_a_process_changes_a_copy_and_nobody_minds(tmp_path):
    @hw.task(name="program")
    async def program() -> list[int]:
        value = [1]
        await change_in_process(value, "value.append(2)")
        return value

    assert hw.run(program, store=tmp_path / "store", progress=False) == [1]


@hw.task
async def many(a: list[int], /, b: list[int], *rest: list[int], c: list[int], **more: list[int]) -> None:
    for value in (a, b, *rest, c, *more.values()):
        if value and value[0]:
            value.append(1)


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        (([1], [0]), {"c": [0]}, "argument a "),
        (([0], [1]), {"c": [0]}, "argument b "),
        (([0],), {"b": [1], "c": [0]}, "argument b "),
        (([0], [0], [0], [1]), {"c": [0]}, r"argument rest\[1\] "),
        (([0], [0]), {"c": [1]}, "argument c "),
        (([0], [0]), {"c": [0], "extra": [1]}, "argument extra "),
        (([1], [0]), {"c": [1]}, r"argument a \(a list\) and c \(a list\) was"),
    ],
)
def test_the_argument_that_changed_is_named_however_it_was_given(go, args, kwargs, said):
    @hw.task(name="program")
    async def program() -> None:
        with pytest.raises(hw.ArgumentChanged, match=said):
            await many(*args, **kwargs)

    go(program)


@hw.task
async def collects(item: int, found: list[int] = []) -> int:  # noqa: B006 - that is the point
    found.append(item)
    return len(found)


def test_a_default_that_grows_is_named(go):
    async def program() -> int:
        return await collects(1)

    with pytest.raises(hw.ArgumentChanged, match="collects: argument found "):
        go(program)


@hw.task
async def uses(item: int, cache: Annotated[dict[int, int], hw.unkeyed], log: list[int]) -> int:
    cache[item] = item
    if item > 1:
        log.append(item)
    return item


def test_an_unkeyed_argument_may_change_and_the_one_after_it_may_not(go):
    async def program() -> int:
        cache: dict[int, int] = {}
        assert await uses(1, cache, []) == 1
        assert cache == {1: 1}
        with pytest.raises(hw.ArgumentChanged, match="argument log "):
            await uses(2, cache, [])
        return 1

    assert go(hw.task(program, name="program")) == 1


@hw.task(key=lambda history, turn: turn)
async def keyed(history: Any, turn: int) -> int:
    if isinstance(history, list | set | dict):
        history.clear()
    else:
        history.asked += 1
    return turn


@pytest.mark.parametrize("make", [lambda: [1], lambda: {1}, lambda: {"a": open}])
def test_the_items_of_an_argument_may_not_change_where_the_call_has_a_key_of_its_own(go, make):
    @hw.task(name="program")
    async def program() -> None:
        await keyed(make(), 1)

    with pytest.raises(hw.ArgumentChanged, match="keyed: argument history "):
        go(program)


def test_an_object_of_a_call_with_a_key_of_its_own_may_change(go):
    @hw.task(name="program")
    async def program() -> int:
        return await keyed(Client(), 1)

    assert go(program) == 1


@hw.task(batch=3, linger_s=0.005)
async def in_batches(items: list[list[int]]) -> list[int]:
    found = [sum(item) for item in items]
    for item in items:
        if len(item) > 1:
            item.pop()
    items.clear()  # the list of the batch is its own
    return found


def test_an_item_of_a_batch_that_changed_fails_its_own_call(go):
    @hw.task(name="program")
    async def program() -> list[int | None]:
        ends = await hw.settle(in_batches([1]), in_batches([2, 3]), in_batches([4]))
        assert isinstance(ends[1].error, hw.ArgumentChanged)
        assert "in_batches: argument items " in str(ends[1].error)
        return [end.value for end in ends]

    assert go(program) == [1, None, 4]


@hw.task
async def root(history: list[str]) -> int:
    history.append("x")
    return 1


def test_the_first_call_of_a_run_is_looked_at_as_well(go):
    with pytest.raises(hw.ArgumentChanged, match="root: argument history "):
        go(root, ["a"])


@hw.task
async def inner(history: list[str]) -> None:
    history.append("x")


@hw.task
async def outer(history: list[str], catches: bool) -> None:
    try:
        await inner(history)
    except hw.ArgumentChanged:
        if not catches:
            raise


@pytest.mark.parametrize(("catches", "named"), [(False, "inner"), (True, "outer")])
def test_the_innermost_task_that_changed_an_argument_is_named_and_one_that_hides_it(go, catches, named):
    with pytest.raises(hw.ArgumentChanged, match=f"{named}: argument history "):
        go(outer, ["a"], catches)


@hw.task(retry=hw.Retry(attempts=3, delay_s=0.1))
async def half_done(history: list[str]) -> str:
    RAN.append(list(history))
    history.append("half")
    raise ConnectionError("the service is down")


def test_a_failed_attempt_that_changed_its_argument_is_not_tried_again_with_the_rest(go):
    @hw.task(name="program")
    async def program() -> None:
        with pytest.raises(
            hw.ArgumentChanged, match=r"history .* also failed, with ConnectionError: the service is down"
        ) as caught:
            await half_done([])
        assert isinstance(caught.value.__cause__, ConnectionError)

    go(program)
    assert RAN == [[]]


class Breaks(Speaks):
    def __headway_key__(self) -> str:
        if self.asked:
            raise self.asked
        return "fine"


@pytest.mark.parametrize("how", ["RuntimeError('no')", "SystemExit(1)", "KeyboardInterrupt()", "GeneratorExit()"])
def test_an_object_that_can_not_be_asked_any_more_fails_its_call_and_nothing_else(go, how):
    @hw.task(name="program")
    async def program() -> str:
        with pytest.raises(hw.ArgumentChanged, match=r"argument value \(a Breaks\)"):
            await change(Breaks(), f"value.asked = {how}")
        return await change(Breaks(), "")

    assert go(program) == "done"


def test_a_generator_of_numbers_needs_a_mark_and_may_then_draw(go):
    """`random.Random` has no canonical form: it was refused before, and is left alone where it is marked."""

    @hw.task(name="draws")
    async def draws(source: Annotated[random.Random, hw.unkeyed]) -> float:
        return source.random()

    @hw.task(name="program")
    async def program() -> float:
        return await draws(random.Random(1))

    assert go(program) == random.Random(1).random()


def test_a_lock_beside_it_does_not_matter(go):
    @hw.task(name="locked", pool="thread")
    def locked(lock: Annotated[Any, hw.unkeyed], items: list[int]) -> int:
        with lock:
            return sum(items)

    @hw.task(name="program")
    async def program() -> int:
        return await locked(threading.Lock(), [1, 2])

    assert go(program) == 3
