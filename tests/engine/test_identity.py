"""Equal questions have equal names, different questions have different names, in every process."""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import functools
import importlib
import io
import itertools
import logging
import operator
import pathlib
import re
import subprocess
import sys
import threading
import typing
import uuid

import msgspec
import numpy as np
import pydantic
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headway.engine.identity.keys import Signature, call_key, canonical, explicit, forever_key, label, sibling_key, unkeyed
from headway.engine.tasks.fingerprint import fingerprint
from headway.errors import NoCanonicalForm, WrongArguments
from headway.journal.codec.errors import rebuild_error, record_error
from headway.journal.decisions import decision_key

PARENT = b"p" * 16


class Colour(enum.Enum):
    RED = 1


class Size(enum.IntEnum):
    ONE = 1


@dataclasses.dataclass
class Point:
    x: int
    y: object = 0
    seen: object = dataclasses.field(default=None, compare=False)


@dataclasses.dataclass
class Dot:
    x: int
    y: object = 0


class Pair(typing.NamedTuple):
    a: int
    b: int


class Record(msgspec.Struct):
    a: int


class Model(pydantic.BaseModel):
    a: int
    b: int = 2


@dataclasses.dataclass
class Coded(Exception):
    code: int


class Told(Exception):
    def __init__(self, status):
        super().__init__("it failed")
        self.status = status


@dataclasses.dataclass
class Queue(collections.deque):
    name: str = "q"


class FakeHandle:
    __headway_handle__ = True

    def __init__(self, key):
        self._key = key


class Named:
    def __init__(self, name):
        self.name = name

    def __headway_key__(self):
        return ("named", self.name)


def at_the_top(x):
    return x


class Plain:
    def method(self):
        pass


# --- what is the same ------------------------------------------------------------------------------------------------

shared = [1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({1: "x", (2,): {"y"}}, {(2,): {"y"}, 1: "x"}),
        (set(range(0, 999, 8)), set(range(992, -8, -8))),
        ({frozenset({"a", "b"}), 3}, {3, frozenset({"b", "a"})}),
        ([shared, shared], [[1], [1]]),
        (float("nan"), -float("nan")),
        ([float("nan"), complex(float("nan"), 0)], [float("inf") - float("inf"), complex(-float("nan"), 0)]),
        (Point(1, {"a": 1}, seen=threading.Lock()), Point(1, {"a": 1})),
        (Model(a=1), Model(a=1, b=2)),
        (collections.OrderedDict(a=1), collections.OrderedDict([("a", 1)])),
        (collections.Counter("aab"), collections.Counter("baa")),
        (np.arange(6).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3))),
        (np.arange(3, dtype=">i4"), np.arange(3, dtype="<i4")),
        (np.arange(9)[::2], np.array([0, 2, 4, 6, 8])),
        (np.float32(np.nan), -np.float32(np.nan)),
        (np.array([{"a": 1, "b": 2}]), np.array([{"b": 2, "a": 1}])),
        (functools.partial(at_the_top, x=1), functools.partial(at_the_top, x=1)),
        (re.compile("a+"), re.compile("a+")),
        (np.complex128(complex(np.nan, 1)), np.complex128(complex(-np.nan, 1))),
        (np.dtype(">i4"), np.dtype("<i4")),
        (Coded(code=3), Coded(code=3)),
        (Named("n"), Named("n")),
        (dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2020, 1, 1, tzinfo=dt.timezone(dt.timedelta()))),
        (pathlib.Path("a//b"), pathlib.Path("a/b")),
        (decimal.Decimal("1.0"), decimal.Decimal("1.0")),
    ],
)
def test_equal_values_have_one_canonical_form(one, other):
    assert canonical(one) == canonical(other)
    assert canonical([one, {"k": one}]) == canonical([other, {"k": other}])


def test_padding_between_the_fields_of_an_array_does_not_count():
    dtype = np.dtype([("a", "u1"), ("b", "f8")], align=True)
    one, other = np.frombuffer(b"\0" * 32, dtype).copy(), np.frombuffer(b"\0" + b"\xff" * 7 + b"\0" * 24, dtype)
    assert canonical(one) == canonical(other)


def test_the_gaps_in_long_doubles_do_not_count():
    one, other = np.zeros(3, np.longdouble), np.zeros(3, np.longdouble)
    other.view(np.uint8)[:] = 255
    np.add(one, np.arange(3), out=one)
    np.add(np.zeros(3, np.longdouble), np.arange(3), out=other)
    assert canonical(one) == canonical(other)
    assert canonical(one[1]) == canonical(other[1])
    assert canonical(one.astype(np.clongdouble)) == canonical(other.astype(np.clongdouble))


def test_what_describes_tensors_has_a_form():
    import torch

    size = torch.ones(2, 3).shape
    assert canonical(size) == canonical(torch.Size([2, 3])) != canonical((2, 3))
    forms = [canonical(each) for each in (torch.float32, torch.float16, torch.device("cpu"), torch.device("cuda", 1), size)]
    assert len(set(forms)) == len(forms)


def test_an_error_is_named_by_what_its_record_keeps():
    error = Told(1)
    error.response = threading.Lock()  # no record holds it
    before = canonical(error)
    assert before == canonical(Told(1)) == canonical(rebuild_error(record_error(error)))


# --- what differs ----------------------------------------------------------------------------------------------------


def all_different():
    return [
        None, True, False, 1, 0, 1.0, 0.0, -0.0, 1j, "1", b"1", bytearray(b"1"), memoryview(b"1"), "", b"", 2**64, 2**63, -(2**64),
        [1], (1,), {1}, frozenset({1}), {1: None}, {"1": None}, [], (), set(), frozenset(), {}, [[]], [()], collections.deque([1]),
        Colour.RED, Size.ONE, Colour, Point(1), Dot(1), Point(1, 1.0), Pair(1, 2), (1, 2), [1, 2], Record(1), Model(a=1), {"a": 1},
        np.array([1]), np.array([[1]]), np.array([1], "i4"), np.array([1.0]), np.int64(1), np.int32(1), np.bool_(True), np.array(1),
        np.array([], "i8"), np.zeros((0, 1), "i8"), np.array([1], object), np.float64(1.0), np.array(["1"]),
        range(1), slice(1), at_the_top, len, Plain, int, functools.partial(at_the_top), functools.partial(at_the_top, 1), dict.get,
        decimal.Decimal(1), uuid.UUID(int=1), dt.date(1, 1, 1), dt.time(1), dt.timedelta(1), dt.datetime(1, 1, 1),  # noqa: DTZ001
        pathlib.Path("1"),
        pathlib.PurePosixPath("1"), FakeHandle(b"k" * 16), b"k" * 16, FakeHandle(b"j" * 16), Named("a"), ("named", "a"),
        float("nan"), float("inf"), "\ud800", "?", re.compile("1"), re.compile(b"1"), ValueError(1), KeyError(1),
        collections.OrderedDict(a=1), collections.OrderedDict(), collections.defaultdict(int, a=1), collections.Counter(a=1),
        collections.OrderedDict(a=1, b=2), collections.OrderedDict(b=2, a=1), [None, [1, 2], 3], [None, [1], 2, 3], ...,
        Coded(code=1), Coded(code=2), Told(1), Told(2), OSError(2, "no", "a"), OSError(2, "no", "b"), OSError(2, "no"),
        np.dtype("i4"), np.dtype("i8"), np.int32, np.dtype([("a", "u1")]),
        [FakeHandle(b"k" * 16)], {"a": FakeHandle(b"k" * 16)}, Point(FakeHandle(b"k" * 16)),
    ]  # fmt: skip


def test_values_that_differ_in_content_or_type_have_different_forms():
    values = all_different()
    for (i, one), (j, other) in itertools.combinations(enumerate(values), 2):
        assert canonical(one) != canonical(other), (i, one, j, other)
        assert call(one) != call(other)


def call(*args, **kwargs):
    def f(*args, **kwargs): ...

    return call_key(PARENT, 0, "f", Signature(f, "f").canonical(args, dict(kwargs)))


def test_how_arguments_are_divided_is_part_of_the_question():
    questions = [call(), call(1), call(1, 2), call((1, 2)), call([1, 2]), call(1, a=2), call(1, {"a": 2}), call(a=1), call(b=1),
                 call(a=1, b=2), call("a", 1), call(("a", 1)), call(1, 2**64), call(None)]  # fmt: skip
    assert len(set(questions)) == len(questions)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=10,
)


@given(plain, plain)
def test_forms_are_equal_exactly_where_the_values_print_equally(one, other):
    def in_order(value):
        if isinstance(value, dict):
            return ("dict", sorted((repr(key), in_order(item)) for key, item in value.items()))
        return (type(value).__name__, [in_order(item) for item in value]) if isinstance(value, (list, tuple)) else repr(value)

    assert (canonical(one) == canonical(other)) == (repr(in_order(one)) == repr(in_order(other)))


@given(st.lists(st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=()))))
def test_the_fast_way_and_the_slow_way_give_the_same_form(values):
    def f(*args, **kwargs): ...

    fast = Signature(f, "f").canonical(tuple(values), {})
    slow = Signature(f, "f").canonical((*values, ()), {})
    assert slow == fast_with_one_more(fast, len(values)) + canonical(())


def fast_with_one_more(packed, n):
    """The same msgpack array, with its length one higher."""
    header = 1 if n < 16 else 3
    n += 1
    return (bytes([0x90 | n]) if n < 16 else b"\xdc" + n.to_bytes(2, "big")) + packed[header:]


def test_forms_do_not_depend_on_the_process():
    folder = str(pathlib.Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {folder!r}); import test_identity as t; print(t.stable_forms().hex())"
    outputs = set()
    for seed in ("0", "1", "77"):
        env = {"PYTHONPATH": ":".join(filter(None, sys.path)), "PYTHONHASHSEED": seed}
        outputs.add(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=env, text=True).stdout)
    assert outputs == {stable_forms().hex() + "\n"}


def stable_forms():
    words = {f"word {i}" for i in range(50)}
    values = [*all_different(), words, dict.fromkeys(words, 1), {frozenset(words): words}]
    without_source = eval("lambda x: x in {1, 'a', 'b', 'c'}")
    return canonical(values) + fingerprint(stable_forms, "") + fingerprint(without_source, "")


def test_keys_are_part_of_the_format_of_a_store():
    """If this fails, every store in the world has lost its results: change the store's version, or undo it."""
    assert call(5).hex() == "649f60e3afb8902cd93872114a20780e"
    assert call({"a": [1.5, ("x", None)]}, k={1}).hex() == "f89e7bdc8a70d734095c2e865cbecfa5"


# --- what is refused -------------------------------------------------------------------------------------------------


def a_local_function():
    def local(): ...

    return local


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda: 0, "is a lambda, which has no canonical form"),
        (a_local_function(), "is a_local_function.<locals>.local, defined inside a function"),
        ((i for i in ()), "is a generator, which"),
        (object(), "is an object, which"),
        (Plain(), "is a Plain, which"),
        (Plain().method, "is a Plain, which"),
        (io.StringIO(), "is a StringIO, which"),
        (threading.Lock(), "is a lock, which"),
        (logging.getLogger(), "is a RootLogger, which"),
        (functools.partial(lambda: 0), "is a lambda"),
        (np.ma.masked_array([1]), "is a MaskedArray"),
        (Queue(), "is a Queue, which"),  # a dataclass, and more than its fields
        (sys, "is a module"),
        (iter([]), "is a list_iterator"),
    ],
    ids=lambda v: v if isinstance(v, str) else type(v).__name__,
)
def test_what_has_no_value_is_refused(value, message):
    with pytest.raises(NoCanonicalForm, match=re.escape(message)):
        canonical(value)


def test_the_refusal_names_the_argument_and_the_way_out():
    def fetch(url, *more, options=None, **rest): ...

    signature = Signature(fetch, "prog.fetch")
    for args, kwargs, place in [
        (("u",), {"options": {"session": [Point(1, Plain())]}}, "options['session'][0].y is a Plain"),
        ((Plain(),), {}, "prog.fetch: argument url is a Plain"),
        (("u", 1, Plain()), {}, "more[1] is a Plain"),
        (("u",), {"other": Plain()}, "other is a Plain"),
    ]:
        bound = signature.bind(args, kwargs)
        with pytest.raises(NoCanonicalForm) as caught:
            signature.canonical(*bound)
        assert place in str(caught.value)
        assert "key=" in str(caught.value)
        assert "Annotated[T, hw.unkeyed]" in str(caught.value)
        assert "prog.fetch" in str(caught.value)


def test_a_cycle_is_refused_and_so_is_endless_depth():
    value = {"a": []}
    value["a"].append(value)
    with pytest.raises(NoCanonicalForm, match="contains itself"):
        canonical(value)
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(NoCanonicalForm, match="nested deeper"):
        canonical(deep)
    while deep:
        deep = deep.pop()
    value["a"].clear()


# --- signatures ------------------------------------------------------------------------------------------------------


def test_all_ways_to_ask_the_same_are_one():
    def f(a, b=2, *, c=3): ...

    signature = Signature(f, "f")
    ways = [((1,), {}), ((1, 2), {}), ((1,), {"b": 2}), ((), {"b": 2, "a": 1}), ((1, 2), {"c": 3})]
    assert {repr(signature.bind(*way)) for way in ways} == {"((1, 2), {'c': 3})"}
    assert signature.bind((1,), {"c": 4}) == ((1, 2), {"c": 4})


def test_a_positional_only_parameter_is_not_filled_by_name():
    def f(a, /, **more): ...

    with pytest.raises(WrongArguments, match=r"f\(a, /, \*\*more\)"):
        Signature(f, "f").bind((), {"a": 1})


def test_every_kind_of_parameter_is_bound():
    def f(a, /, b, *rest, c, **more): ...

    bind = Signature(f, "f").bind
    assert bind((1, 2, 3, 4), {"c": 5}) == ((1, 2, 3, 4), {"c": 5})
    assert bind((1,), {"b": 2, "c": 3, "d": 4}) == ((1, 2), {"c": 3, "d": 4})
    assert bind((1, 2), {"c": 3, "a": 9}) == ((1, 2), {"c": 3, "a": 9})


@pytest.mark.parametrize(
    ("args", "kwargs", "why"),
    [
        ((), {}, "missing a required argument: 'a'"),
        ((1, 2, 3), {}, "too many positional arguments"),
        ((1,), {"z": 1}, "unexpected keyword argument 'z'"),
        ((1,), {"a": 1}, "multiple values for argument 'a'"),
        ((1, 2), {"b": 1}, "multiple values for argument 'b'"),
        ((1,), {"b": 1, "a": 1}, "multiple values"),
    ],
)
def test_wrong_arguments_are_refused_with_the_task_and_its_signature(args, kwargs, why):
    def f(a, b=2, *, c=3): ...

    with pytest.raises(WrongArguments) as caught:
        Signature(f, "prog.f").bind(args, kwargs)
    assert why in str(caught.value)
    assert "prog.f(a, b=2, *, c=3)" in str(caught.value)


functions = st.sampled_from(
    [
        lambda: 0, lambda a: 0, lambda a, b=2: 0, lambda a=1, *r: 0, lambda a, /, b=1: 0, lambda a, /, **k: 0, lambda *, c: 0,
        lambda a, *r, c=3, **k: 0, lambda *r, **k: 0, lambda a, b, *, c, d=4: 0, lambda a, b=2, /, c=3, *, d: 0,
    ]
)  # fmt: skip


@given(functions, st.lists(st.integers(), max_size=4), st.dictionaries(st.sampled_from("abcdk"), st.integers()))
def test_binding_takes_what_python_takes_and_means_the_same(fn, args, kwargs):
    import inspect

    try:
        fn(*args, **kwargs)
    except TypeError:
        with pytest.raises(WrongArguments):
            Signature(fn, "f").bind(tuple(args), kwargs)
        return
    expected = inspect.signature(fn).bind(*args, **kwargs)
    expected.apply_defaults()
    assert Signature(fn, "f").bind(tuple(args), kwargs) == (expected.args, expected.kwargs)


def test_an_unkeyed_argument_does_not_count():
    def f(q, client: typing.Annotated[object, unkeyed], n=1, *, log: "typing.Annotated[Nowhere, unkeyed]" = None): ...  # noqa: F821

    signature = Signature(f, "f")
    one = signature.canonical(*signature.bind(("q", Plain()), {"log": Plain()}))
    assert one == signature.canonical(*signature.bind(("q", None, 1), {}))
    assert one != signature.canonical(*signature.bind(("q", None, 2), {}))
    with pytest.raises(NoCanonicalForm, match=r"f: argument n is a Plain"):
        signature.canonical(*signature.bind(("q", None, Plain()), {}))


def test_an_alias_in_a_module_with_string_annotations_is_seen(tmp_path, monkeypatch):
    (tmp_path / "aliased.py").write_text(
        "from __future__ import annotations\nfrom typing import Annotated, TYPE_CHECKING\n"
        "from headway.engine.identity.keys import unkeyed\n"
        "if TYPE_CHECKING:\n    from nowhere import Client\n"
        "Quiet = Annotated[object, unkeyed]\n"
        "def f(a, b: Quiet, c: Annotated[Client | None, unkeyed], d: Annotated[Client[int], unkeyed] | None): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    f = importlib.import_module("aliased").f
    signature = Signature(f, "f")
    assert signature.canonical((1, Plain(), Plain(), Plain()), {}) == signature.canonical((1, 2, 3, 4), {})


def test_unkeyed_rest_arguments_do_not_count():
    def f(a, *clients: typing.Annotated[object, unkeyed], **more: typing.Annotated[object, unkeyed]): ...

    signature = Signature(f, "f")
    assert signature.canonical((1, Plain()), {"x": Plain()}) == signature.canonical((1,), {})


def test_a_batch_task_is_called_with_one_item():
    def embed(pages: list[str]) -> list[int]: ...

    signature = Signature(embed, "embed", batch=True)
    assert signature.bind((), {"pages": "p"}) == (("p",), {})
    with pytest.raises(WrongArguments, match="too many"):
        signature.bind(("p", "q"), {})
    with pytest.raises(WrongArguments, match="exactly one parameter"):
        Signature(lambda a, b: 0, "two", batch=True)


# --- keys ------------------------------------------------------------------------------------------------------------


def test_every_part_of_a_question_is_in_its_key():
    keys = [
        call_key(PARENT, 0, "f", b"x"), call_key(b"q" * 16, 0, "f", b"x"), call_key(PARENT, 1, "f", b"x"),
        call_key(PARENT, 0, "g", b"x"),
        call_key(PARENT, 0, "f", b"y"), call_key(PARENT, 0, "fx", b""), call_key(PARENT, 0, "", b"fx"), forever_key("f", b"x"),
        decision_key(PARENT, 0, "f", b"x"), decision_key(PARENT, 0, "f", b"x", 1), decision_key(PARENT, 1, "f", b"x"),
        decision_key(PARENT, 0, "fx", b""), call_key(PARENT, 0, "f", explicit("x")), call_key(PARENT, 0, "f", canonical("x")),
        sibling_key(call_key(PARENT, 0, "f", b"x"), 1), sibling_key(call_key(PARENT, 0, "f", b"x"), 2),
    ]  # fmt: skip
    assert len(set(keys)) == len(keys)
    assert {len(key) for key in keys} == {16}
    assert sibling_key(keys[0], 0) == keys[0]


# --- labels ----------------------------------------------------------------------------------------------------------


@example([{-(10**34): -(10**11)}], {})  # numbers, which are not cut
@given(st.lists(plain), st.dictionaries(st.text(), plain))
def test_a_label_is_short_whatever_the_arguments(args, kwargs):
    assert len(label(tuple(args), kwargs)) <= 60


def test_a_label_says_what_is_simple_and_only_names_the_rest():
    class Rude:
        def __repr__(self):
            raise AssertionError("asked for its text")

        __str__ = __len__ = __repr__

    assert label((5,), {}) == "5"
    assert label(("a", 1.5), {"k": None}) == "'a', 1.5, k=None"
    assert label(([1, 2], {"a": 1}, Rude(), Colour.RED), {}) == "[1, 2], dict of 1: 'a'=1, Rude, Colour.RED"
    assert label((np.zeros((2, 3)), b"abc", FakeHandle(b"\1" * 16)), {}) == "ndarray[2, 3], 3 bytes, <01010101>"
    assert label((10**5000,), {}) == "int of 16610 bits"
    assert label(("x" * 10**6,), {}) == "'" + "x" * 58 + "…"


# --- fingerprints ----------------------------------------------------------------------------------------------------


def made(source, name="f", **names):
    """A function of a module whose source can be read."""
    import linecache

    filename = f"<made {len(linecache.cache)}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    exec(compile(source, filename, "exec"), names)
    return names[name]


def test_looks_do_not_change_a_fingerprint_and_code_does():
    base = fingerprint(made("def f(a):\n    return a + 1\n"), "")
    same = [
        "\n\n# new\ndef f( a ):\n    # comment\n    return (a+1)\n",
        'def f(a):\n    """What it does."""\n    return a + 1\n',
        "import functools\n@functools.cache\ndef f(a):\n    return a + 1\n",
    ]
    assert {fingerprint(made(source), "") for source in same} == {base}
    other = ["def f(a):\n    return a + 2\n", "def f(a=1):\n    return a + 1\n", "async def f(a):\n    return a + 1\n"]
    assert base not in {fingerprint(made(source), "") for source in other}
    assert len(base) == 8


def test_a_function_of_docstring_only_has_a_fingerprint():
    assert fingerprint(made('def f():\n    "doc"\n'), "") == fingerprint(made('def f():\n    "other"\n'), "")


def test_simple_values_that_a_function_closes_over_count():
    source = "def make(k, client):\n    def f(a):\n        return a + k, client\n    return f\n"
    make = made(source, "make")
    assert fingerprint(make(1, object()), "") == fingerprint(make(1, object()), "")
    assert fingerprint(make(1, None), "") != fingerprint(make(2, None), "")
    assert fingerprint(functools.partial(at_the_top, 1), "") != fingerprint(functools.partial(at_the_top, 2), "")


def test_functions_without_source_have_a_fingerprint_of_their_code():
    one, again, other = (eval(text) for text in ("lambda x: x + 1", "lambda x: x + 1", "lambda x: x + 2"))
    assert fingerprint(one, "") == fingerprint(again, "") != fingerprint(other, "")
    assert fingerprint(operator.add, "") != fingerprint(operator.sub, "")


def test_two_lambdas_on_one_line_are_told_apart():
    one, other = (lambda x: x + 1), (lambda x: x + 2)
    assert fingerprint(one, "") != fingerprint(other, "")


def test_an_explicit_version_is_the_whole_answer():
    assert fingerprint(at_the_top, "2") == fingerprint(stable_forms, "2") != fingerprint(at_the_top, "3")
    assert fingerprint(at_the_top, "2") != fingerprint(at_the_top, "")
