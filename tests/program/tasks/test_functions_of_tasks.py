"""Everything that can be called, as a task: it works, or is refused in a sentence. And different functions of one name."""

from __future__ import annotations

import builtins
import dataclasses
import functools
import operator
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import headway as hw
from headway import testing
from headway.engine.tasks.spec import TASKS


def add(a: int, b: int) -> int:
    return a + b


async def multiply(a: int, b: int) -> int:
    return a * b


def wrapped(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return inner


@dataclasses.dataclass(frozen=True)
class Plus:
    n: int

    def __call__(self, x: int) -> int:
        return self.n + x

    def more(self, x: int) -> int:
        return self.n + x

    async def async_more(self, x: int) -> int:
        return self.n + x

    @classmethod
    def of_class(cls, x: int) -> int:
        return x + 100

    @staticmethod
    def static(x: int) -> int:
        return x + 1000


class AsyncPlus(Plus):
    async def __call__(self, x: int) -> int:  # type: ignore[override]
        return self.n + x


class Opaque:
    """An object that equals itself only."""

    def __call__(self, x: int) -> int:
        return x + 7

    def more(self, x: int) -> int:
        return x + 7


def oddly_named(self: int, cls: int = 2, *, fn: int = 3, args: int = 4, spec: int = 5, frame: int = 6) -> tuple[int, ...]:
    return (self, cls, fn, args, spec, frame)


def positional_only(a: int, /, b: int) -> int:
    return a - b


def any_arguments(*args: int, **kwargs: int) -> tuple[Any, ...]:
    return (*args, *sorted(kwargs.items()))


def generator(x: int) -> Any:
    yield x


async def async_generator(x: int) -> Any:
    yield x


@hw.register
@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


WORKS: dict[str, tuple[Any, dict[str, Any], tuple[Any, ...], Any]] = {
    "a function": (add, {}, (1, 2), 3),
    "an async function": (multiply, {}, (3, 4), 12),
    "a lambda": (lambda x: x + 1, {}, (1,), 2),
    "a partial": (functools.partial(add, 1), {"name": "add_1"}, (2,), 3),
    "a partial of a partial": (functools.partial(functools.partial(add), b=5), {"name": "add_5"}, (2,), 7),
    "a partial of an async function": (functools.partial(multiply, 3), {"name": "triple"}, (4,), 12),
    "an object that is called": (Plus(5), {"name": "plus"}, (1,), 6),
    "an object whose call is async": (AsyncPlus(5), {"name": "async_plus"}, (1,), 6),
    "an object without a canonical form, named": (Opaque(), {"name": "opaque"}, (1,), 8),
    "a bound method": (Plus(5).more, {}, (1,), 6),
    "a bound async method": (Plus(5).async_more, {}, (1,), 6),
    "a method of an object without a canonical form, named": (Opaque().more, {"name": "more"}, (1,), 8),
    "a bound class method": (Plus.of_class, {}, (1,), 101),
    "a static method": (Plus.static, {}, (1,), 1001),
    "a class": (Point, {}, (1,), Point(1)),
    "a builtin": (len, {}, ([1, 2],), 2),
    "a method of a builtin type": (str.upper, {"name": "upper"}, ("a",), "A"),
    "a method of a constant": ("-".join, {"name": "join"}, (["a", "b"],), "a-b"),
    "a function under functools.wraps": (wrapped(add), {}, (1, 2), 3),
    "a function under lru_cache": (functools.lru_cache(add), {}, (1, 2), 3),
    "parameters with odd names": (oddly_named, {}, (1,), (1, 2, 3, 4, 5, 6)),
    "positional-only parameters": (positional_only, {}, (3, 2), 1),
    "any arguments": (any_arguments, {}, (1, 2), (1, 2)),
}


@pytest.mark.parametrize("kind", WORKS)
@pytest.mark.parametrize("pool", [None, "thread"])
def test_it_is_a_task_as_any_other(kind, pool, tmp_path):
    fn, options, args, expected = WORKS[kind]
    if pool and kind in ("a class",):
        pytest.skip("once is enough")
    is_async = "async" in kind
    task = hw.task(**options, **({"pool": pool} if pool and not is_async else {}))(fn)

    @hw.task(name="calls it")
    async def program() -> Any:
        return await task(*args)

    for _ in range(2):
        assert testing.run(program, store=tmp_path / "store", run_id="run") == expected


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "a partial without a name": (functools.partial(add, 1), {}, r"which has no name of its own: add name="),
    "an object without a name": (Plus(1), {}, r"which has no name of its own: add name="),
    "a method of a dictionary": ({}.get, {}, r"which has no name of its own: add name="),
    "a method of an object without a canonical form": (
        Opaque().more,
        {},
        r"Opaque, which has no canonical form.* name= of its own",
    ),
    "a class method that is not bound": (Plus.__dict__["of_class"], {}, r"write @classmethod above @hw\.task"),
    "a builtin that hides its arguments": (max, {}, r"does not say which arguments it takes: wrap it in a def"),
    "an object that hides its arguments": (operator.itemgetter(1), {"name": "second"}, r"does not say which arguments it takes"),
    "a static method that is not bound": (Plus.__dict__["static"], {}, r"write @staticmethod above @hw\.task"),
    "a method of a builtin type": (str.upper, {}, r"which has no name of its own: add name="),
    "a generator": (generator, {}, r"is a generator, and a task has one result: return a list"),
    "a task": (hw.task(add), {}, r"is a task already"),
    "a property": (property(add), {}, r"@hw\.task is for functions, not for <property"),
    "a module": (types, {}, r"@hw\.task is for functions, not for <module"),
    "a text": ("add", {}, r"@hw\.task is for functions, not for 'add'"),
    "a partial in another process": (functools.partial(add, 1), {"name": "p", "pool": "process"}, r"cannot run in another process"),
    "a method in another process": (Plus(1).more, {"pool": "process"}, r"cannot run in another process"),
    "forever, over an object without a canonical form": (
        functools.partial(add, Opaque()),
        {"name": "p", "cache": "forever"},
        r"argument 0 of its partial is an Opaque, which has no canonical form.*name its calls with key=",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_it_is_refused_in_a_sentence(kind):
    fn, options, says = REFUSED[kind]
    with pytest.raises(hw.UsageError, match=says):
        hw.task(**options)(fn)


class Methods:
    """Tasks in the body of a class."""

    def __headway_key__(self) -> object:
        return "methods"

    @hw.task
    async def of_the_object(self, x: int) -> int:
        return x + 1

    @staticmethod
    @hw.task
    def above_static(x: int) -> int:
        return x + 3

    @classmethod
    @hw.task
    def above_class(cls, x: int) -> int:
        return x + (4 if cls is Methods else 0)


def test_methods_can_be_tasks(go):
    @hw.task
    async def program() -> list[int]:
        methods = Methods()
        return [
            await methods.of_the_object(0),
            await methods.above_static(0),
            await Methods.above_class(0),
        ]

    assert go(program) == [1, 3, 4]


def test_a_parameter_called_self_can_be_given_by_name(go):
    task = hw.task(oddly_named)

    @hw.task
    async def program() -> tuple[int, ...]:
        return await task(self=1, args=9)

    assert go(program) == (1, 2, 3, 9, 5, 6)


# --- two functions under one name ------------------------------------------------------------------------------------


def scaled(factor: Any) -> Any:
    @hw.task(cache="forever")
    async def scale(x: int) -> Any:
        return factor * x

    return scale


def via_helper(factor: int) -> Any:
    def helper(x: int) -> int:
        return factor * x

    @hw.task(cache="forever")
    async def scale(x: int) -> int:
        return helper(x)

    return scale


def in_a_lambda(factor: int) -> Any:
    return hw.task(lambda x: factor * x, cache="forever")


def by_partial(factor: int) -> Any:
    return hw.task(functools.partial(operator.mul, factor), name="scale", cache="forever")


def by_object(factor: int) -> Any:
    return hw.task(Plus(factor), name="plus", cache="forever")


def by_method(factor: int) -> Any:
    return hw.task(Plus(factor).more, cache="forever")


def by_wraps(factor: int) -> Any:
    def fn(x: int) -> int:
        return factor * x

    return hw.task(wrapped(fn), cache="forever")


def times(factor: int) -> Callable[..., Any]:
    def decorate(fn: Any) -> Any:
        @functools.wraps(fn)
        def inner(x: int) -> int:
            result: int = factor * fn(x)
            return result

        return inner

    return decorate


def times_by_default(factor: int) -> Callable[..., Any]:
    def decorate(fn: Any) -> Any:
        @functools.wraps(fn)
        def inner(x: int, *, factor: int = factor) -> int:
            result: int = factor * fn(x)
            return result

        return inner

    return decorate


class Times:
    """A decorator that is an object."""

    def __init__(self, fn: Any, factor: int) -> None:
        self.fn, self.factor = fn, factor
        functools.update_wrapper(self, fn)

    def __headway_key__(self) -> int:
        return self.factor

    def __call__(self, x: int) -> int:
        result: int = self.factor * self.fn(x)
        return result


def itself(x: int) -> int:
    return x


def by_second_decorator(factor: int) -> Any:
    return hw.task(wrapped(times(factor)(itself)), cache="forever")


def by_third_decorator(factor: int) -> Any:
    return hw.task(wrapped(wrapped(times(factor)(itself))), cache="forever")


def by_default_of_a_decorator(factor: int) -> Any:
    return hw.task(wrapped(times_by_default(factor)(itself)), cache="forever")


def by_decorator_object(factor: int) -> Any:
    return hw.task(wrapped(Times(itself, factor)), cache="forever")


def by_kind_of_decorator(factor: int) -> Any:
    return hw.task((times(2) if factor == 2 else times_by_default(3))(itself), cache="forever")


def by_default_of_a_lambda(factor: int) -> Any:
    helper = lambda x, factor=factor: factor * x  # noqa: E731 - that is the point
    return hw.task(lambda x: helper(x), name="scale", cache="forever")


def by_default_of_a_helper(factor: int) -> Any:
    def helper(x: int, *, factor: int = factor) -> int:
        return factor * x

    return hw.task(lambda x: helper(x), name="scale", cache="forever")


def by_decorated_helper(factor: int) -> Any:
    helper = wrapped(times(factor)(itself))
    return hw.task(lambda x: helper(x), name="scale", cache="forever")


ALL_WAYS = [scaled, via_helper, in_a_lambda, by_partial, by_object, by_method, by_wraps, by_second_decorator, by_third_decorator]
ALL_WAYS += [by_default_of_a_decorator, by_decorator_object, by_kind_of_decorator, by_default_of_a_lambda, by_default_of_a_helper]
ALL_WAYS += [by_decorated_helper]


@pytest.mark.parametrize("make", ALL_WAYS)
def test_results_are_shared_for_ever_by_functions_that_carry_the_same_and_by_no_others(make, tmp_path):
    def value(task: Any) -> Any:
        @hw.task(name="asks for it")
        async def program() -> Any:
            return await task(5)

        return testing.run(program, store=tmp_path / "store")

    plain = [make(factor).fn(5) if make not in (scaled, via_helper) else factor * 5 for factor in (2, 3)]
    assert [value(make(2)), value(make(3))] == plain
    assert make(2).spec.identity == make(2).spec.identity != make(3).spec.identity


@pytest.mark.parametrize("make", ALL_WAYS)
def test_functions_that_carry_different_things_share_no_result_within_a_run(go, make):
    two, three = make(2), make(3)

    @hw.task
    async def program() -> list[Any]:
        return [await two(10), await three(10)]

    assert go(program) == [20, 30] if make not in (by_object, by_method) else [12, 13]


def test_what_is_named_within_a_run_is_told_apart_by_all_that_its_layers_carry(go):
    def make(factor: int) -> Any:
        return hw.task(wrapped(times(factor)(itself)))

    @hw.task
    async def program() -> list[int]:
        return [await make(2)(5), await make(3)(5)]

    with pytest.raises(hw.UsageError, match=r"two functions of the name .*itself with the same arguments"):
        go(program)


@pytest.mark.parametrize("fn", [add, oddly_named, any_arguments, Plus.static, functools.lru_cache(add)])
def test_a_function_that_carries_nothing_is_known_by_its_name(fn):
    spec = hw.task(fn, cache="forever").spec
    assert spec.identity == spec.name


def test_the_source_below_decorators_is_no_part_of_the_name():
    def make(source: str) -> Any:
        namespace: dict[str, Any] = {"__name__": "edited"}
        exec(source, namespace)
        return hw.task(wrapped(wrapped(namespace["f"])), cache="forever").spec.identity

    assert make("def f(x): return x + 1") == make("def f(x): return x + 2")


def test_what_has_no_canonical_form_can_not_be_closed_over_for_ever():
    with pytest.raises(
        hw.UsageError, match=r"closes over factor, which is an Opaque.*pass it as an argument, or name the calls with"
    ):
        scaled(Opaque())


def test_a_key_answers_for_what_is_closed_over(go):
    def named(factor: Any, name: str) -> Any:
        @hw.task(cache="forever", key=lambda x: (name, x))
        async def scale(x: int) -> int:
            return factor(x)

        return scale

    @hw.task
    async def program() -> list[int]:
        return [await named(Opaque(), "opaque")(1), await named(Plus(5), "plus")(1)]

    assert go(program) == [8, 6]


def test_a_closure_may_call_itself_and_close_over_modules_and_other_tasks(go):
    other = hw.task(add, name="another")

    @hw.task(cache="forever")
    async def countdown(x: int) -> int:
        return builtins.max(0, await countdown(x - 1) if x else await other(1, 1))

    @hw.task
    async def program() -> int:
        return await countdown(3)

    assert go(program) == 2


def _two_lambdas(**options: Any) -> tuple[Any, Any]:
    return hw.task(lambda x: x + 1, name="one", **options), hw.task(lambda x: x * 100, name="one", **options)


def _two_branches(**options: Any) -> tuple[Any, Any]:
    def make(*, first: bool) -> Any:
        if first:

            @hw.task(**options)
            async def one(x: int) -> int:
                return x + 1
        else:

            @hw.task(**options)
            async def one(x: int) -> int:
                return x * 100

        return one

    return make(first=True), make(first=False)


@pytest.mark.parametrize("cache", ["run", "forever"])
@pytest.mark.parametrize("make", [_two_lambdas, _two_branches])
def test_two_functions_of_one_name_are_not_asked_the_same_in_one_run(go, make, cache):
    plus, times = make(cache=cache)

    @hw.task(name="asks both")
    async def program(other: int) -> list[int]:
        return [await plus(5), await times(other)]

    assert go(program, 6, run_id="different") == [6, 600]
    with pytest.raises(hw.UsageError, match=r"two functions of the name .*one with the same arguments.*name= of its own"):
        go(program, 5, run_id="equal")


def test_closures_of_one_name_are_not_asked_the_same_in_one_call(go):
    def make(factor: int) -> Any:
        @hw.task
        async def scale(x: int) -> int:
            return x * factor

        return scale

    @hw.task
    async def program() -> list[int]:
        two, three = make(2), make(3)
        return [await two(5), await three(6), await make(2)(5), await three(5)]

    with pytest.raises(hw.UsageError, match=r"two functions of the name .*scale with the same arguments"):
        go(program)


def test_partials_of_one_name_are_told_apart_within_a_run_too(go):
    """After a crash the two come in the other order."""
    order = [1, 2]
    tasks = {n: hw.task(functools.partial(add, n), name="add") for n in order}

    @hw.task(name="two partials")
    async def program() -> dict[int, int]:
        handles = {n: tasks[n](5) for n in order}
        found = {n: await handle for n, handle in handles.items()}
        if order == [1, 2]:
            raise RuntimeError("stop")
        return found

    with pytest.raises(RuntimeError):
        go(program)
    order.reverse()
    assert go(program) == {1: 6, 2: 7}


def test_a_cell_that_is_run_again_replaces_its_task(tmp_path: Path):
    """As in a notebook: a definition of the same name, with another source."""
    cell = (
        "import headway as hw\n@hw.task(cache='forever', version={version!r}, on_change='rerun')\nasync def f(x): return x + {n}\n"
    )
    cell += "@hw.task\nasync def main(): return await f(1)\n"
    found = []
    for n in (1, 2):
        namespace: dict[str, Any] = {"__name__": "cells"}
        exec(cell.format(n=n, version=str(n)), namespace)
        found.append(testing.run(namespace["main"], store=tmp_path / "store"))
    assert found == [2, 3]
    assert TASKS["cells.f"].fn is namespace["f"].fn
