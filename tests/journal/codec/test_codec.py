"""Values come back equal and of the same type, and nothing that a record says makes this program import or call something."""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import pathlib
import pickle
import subprocess
import sys
import threading
import typing
import uuid
import zoneinfo

import msgspec
import numpy as np
import pytest
from coded import Box, Colour, Derived, Level, Model, Open, Pair, Perm, Point, Record, Slotted, Word, same, there_and_back
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import NotDecodable, NotEncodable, StoreDamaged
from headway.journal.codec import declared
from headway.journal.codec.codec import OUT_OF_BAND, declare, decode, encode, register

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**70), max_value=2**70),
    st.floats(),
    st.text(st.characters(exclude_categories=())),
    st.binary(),
    st.complex_numbers(allow_nan=False),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.uuids(),
    st.dates(),
    st.times(),
    st.datetimes(timezones=st.none() | st.timezones()),
    st.timedeltas(),
    st.sampled_from([*Colour, *Level, *Word, Perm.R, Perm.R | Perm.W, ..., NotImplemented]),
    st.builds(pathlib.PurePosixPath, st.text(st.characters(codec="utf-8", exclude_characters="\0"))),
    st.builds(slice, st.integers(), st.none(), st.integers()),
)
hashables = st.recursive(
    scalars.filter(lambda v: not isinstance(v, slice) and v == v),
    lambda inner: st.one_of(st.tuples(inner, inner), st.frozensets(inner, max_size=3)),
    max_leaves=4,
)
anything = st.recursive(
    st.one_of(
        scalars,
        st.builds(Point, st.integers(), st.floats(allow_nan=False)),
        st.builds(Pair, st.integers(), st.text()),
        st.builds(Model, a=st.integers(), b=st.text()),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(st.text(), inner, max_size=4),
        st.dictionaries(hashables, inner, max_size=4),
        st.sets(hashables, max_size=4),
        st.builds(Box, inner),
    ),
    max_leaves=12,
)


@given(anything)
def test_any_nest_of_values_comes_back_equal_and_of_the_same_type(value):
    assert same(there_and_back(value), value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(max_size=50),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_plain_data_is_plain_msgpack(value):
    head, buffers = encode(value)
    assert not buffers
    assert msgspec.msgpack.decode(head) == value


@pytest.mark.parametrize(
    "value",
    [
        2**63, 2**64, -(2**63) - 1, 10**400, -0.0, float("inf"), "\ud800", {"\ud800": 1}, {"a": 2**64}, [["\udfff"]],
        bytearray(b"x"), range(3), range(2**70), slice(1, "b"), pathlib.Path("a/b"), pathlib.PureWindowsPath("c:\\x"),
        decimal.Decimal("1.00"), decimal.Decimal("NaN").copy_sign(1) and decimal.Decimal("-Infinity"), fractions.Fraction(1, 3),
        uuid.UUID(int=5), dt.UTC, dt.timezone(dt.timedelta(hours=2), "here"), zoneinfo.ZoneInfo("Europe/Paris"),
        dt.datetime(2025, 10, 26, 2, 30, fold=1, tzinfo=zoneinfo.ZoneInfo("Europe/Paris")), dt.time(1, 2, tzinfo=dt.UTC),
        {1: "a", (1, 2): "b", None: "c", 1.5: {}, b"k": 0}, set(), frozenset({(1,), "x"}), {"k": ()}, [set(), {1}],
        collections.OrderedDict(b=1, a=2), collections.Counter("aab"), collections.defaultdict(list, a=[1]),
        collections.defaultdict(None, {1: 2}), collections.deque([1, (2,)], 5), Colour.BLUE, Level.LOW, Word.A, Perm.R | Perm.W,
        Perm(0), Point(1), Slotted("a", Point(1), ["t"]), Pair(1), Record(a=1, b=[Point(2)]), Box(Box((1,))),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_each_kind_comes_back_equal_and_of_the_same_type(value):
    back = there_and_back(value)
    assert type(back) is type(value)
    assert back == value
    assert same(there_and_back([value, {"k": value}]), [value, {"k": value}])


def test_a_zone_and_a_fold_survive():
    value = dt.datetime(2025, 10, 26, 2, 30, fold=1, tzinfo=zoneinfo.ZoneInfo("Europe/Paris"))
    back = there_and_back(value)
    assert (back.fold, back.tzinfo, back.utcoffset()) == (1, value.tzinfo, value.utcoffset())


def test_an_ordered_dict_keeps_its_order_and_a_defaultdict_its_factory():
    assert list(there_and_back(collections.OrderedDict(b=1, a=2))) == ["b", "a"]
    assert there_and_back(collections.defaultdict(list))["new"] == []
    assert there_and_back(collections.deque([1], 5)).maxlen == 5


def test_equal_sets_are_stored_as_equal_bytes():
    one, other = set(range(0, 4000, 8)), set(range(3992, -8, -8))
    assert encode(one | {"x"}).head == encode({"x"} | other).head


def test_what_post_init_put_on_an_object_comes_back_without_running_it():
    value = Derived(3, scale=5)
    assert value.lock  # cached, and computed again when asked
    back = there_and_back(value)
    assert (back.x, back.total, back.note) == (3, 15, "x5")
    assert "lock" not in vars(back)
    assert back == value


def test_decoding_a_dataclass_runs_no_code_of_its_class():
    calls = []

    @register
    @dataclasses.dataclass
    class Loud:
        x: int

        def __post_init__(self):
            calls.append(self.x)

    head = encode(Loud(1)).head
    assert decode(head).x == 1
    assert calls == [1]


def test_a_model_keeps_which_fields_were_set_and_its_private_attributes():
    value = Model(a=1)
    value._seen = 7
    back = there_and_back(value)
    assert back == value
    assert (back.model_fields_set, back._seen) == ({"a"}, 7)
    assert there_and_back(Open(a=1, other=(2,))) == Open(a=1, other=(2,))


def make_point(fields):
    cls = register(dataclasses.make_dataclass("Versioned", fields, namespace={"__module__": __name__}))
    cls.__module__ = __name__
    return register(cls)


def test_a_field_added_since_takes_its_default_and_a_removed_one_is_dropped():
    head = encode(make_point([("x", int), ("gone", int)])(1, 2)).head
    new = make_point([("x", int), ("tags", list, dataclasses.field(default_factory=list))])
    assert decode(head) == new(1, [])


def test_a_field_added_since_without_a_default_is_named():
    head = encode(make_point([("x", int)])(1)).head
    make_point([("x", int), ("weight", float)])
    with pytest.raises(NotDecodable, match=r"Versioned has no field 'weight'"):
        decode(head)


def test_an_enum_member_that_is_gone_is_named():
    old = register(enum.Enum("Mood", {"GLAD": 1, "SAD": 2}, module=__name__))
    head = encode(old.SAD).head
    register(enum.Enum("Mood", {"GLAD": 1}, module=__name__))
    with pytest.raises(NotDecodable, match="'SAD' = 2"):
        decode(head)


def test_a_renamed_enum_member_is_found_by_its_value():
    old = register(enum.Enum("Tone", {"HIGH": 1}, module=__name__))
    head = encode(old.HIGH).head
    new = register(enum.Enum("Tone", {"TOP": 1}, module=__name__))
    assert decode(head) is new.TOP


def test_an_undeclared_type_is_refused_with_the_way_out():
    @dataclasses.dataclass
    class Stranger:
        x: int

    with pytest.raises(
        NotEncodable, match=r"^result\[0\] is a .*Stranger, which a later process could not find by its name.*hw\.register"
    ):
        encode([Stranger(1)])
    register(Stranger)
    assert there_and_back([Stranger(1)]) == [Stranger(1)]


def test_a_live_subclass_of_a_declared_class_counts_as_declared():
    class Base:
        pass

    @dataclasses.dataclass
    class Leaf(Base):
        x: int

    declare(list[Base])
    head = encode(Leaf(1)).head
    declared._declared.pop(declared.full_tag(Leaf), None)
    assert decode(head) == Leaf(1)


def test_declaring_builtins_does_not_declare_their_subclasses():
    class Sneaky(enum.IntEnum):
        A = 1

    declare(int | list[str] | typing.Any | object)
    with pytest.raises(NotEncodable, match="Sneaky"):
        encode(Sneaky.A)


def test_an_annotation_is_walked_through_strings_unions_and_nested_fields():
    namespace = {"Outer": make_outer()}
    declare("dict[str, Outer | Missing] | TypeCheckingOnly[int]", namespace)
    outer = namespace["Outer"]
    inner = outer.__annotations__["inner"]
    value = outer(inner(1))
    assert there_and_back(value) == value


def make_outer():
    @dataclasses.dataclass
    class Inner:
        x: int

    @dataclasses.dataclass
    class Outer:
        inner: Inner

    return Outer


def test_a_name_is_found_again_when_the_program_was_started_another_way():
    head = encode(Point(1)).head.replace(b"coded:Point", b"dedoc:Point")
    with pytest.raises(NotDecodable, match="dedoc:Point"):
        decode(head)
    assert declared.resolve("some.package.coded:Point") is Point


def test_two_declared_types_with_one_short_name_are_told_apart_or_refused():
    first, second = (dataclasses.make_dataclass("Twin", [(name, int)]) for name in "ab")
    first.__module__, second.__module__ = "p.shapes", "q.shapes"
    register(first)
    register(second)
    assert there_and_back([first(1), second(2)]) == [first(1), second(2)]
    with pytest.raises(NotDecodable, match=r"several types of that name: p\.shapes:Twin, q\.shapes:Twin"):
        declared.resolve("shapes:Twin")


def test_an_unknown_type_is_refused_without_importing_its_module(tmp_path, monkeypatch):
    (tmp_path / "sideeffect.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    cls = dataclasses.make_dataclass("Thing", [("x", int)])
    cls.__module__ = "sideeffect"
    register(cls)
    head = encode(cls(1)).head
    declared._declared.pop("sideeffect:Thing")
    declared._by_short.pop("sideeffect:Thing")
    with pytest.raises(NotDecodable, match=r"sideeffect:Thing, which this program has not loaded"):
        decode(head)
    assert "sideeffect" not in sys.modules


def test_a_program_and_its_module_agree_on_the_names_of_its_types(tmp_path):
    program = tmp_path / "prog.py"
    program.write_text(
        "import dataclasses, sys\n"
        "from headway.journal.codec.codec import encode, decode, register\n"
        "@register\n@dataclasses.dataclass\nclass Item:\n    x: int\n"
        "if __name__ == '__main__': sys.stdout.buffer.write(encode(Item(1)).head)\n"
    )
    env = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    head = subprocess.run([sys.executable, program], capture_output=True, check=True, env=env).stdout
    reader = "import sys, prog; print(prog.decode(sys.stdin.buffer.read()))"
    env = {"PYTHONPATH": f"{tmp_path}:{env['PYTHONPATH']}"}
    out = subprocess.run([sys.executable, "-c", reader], input=head, capture_output=True, check=True, env=env).stdout
    assert out.decode().strip() == "Item(x=1)"


class Client:
    pass


@register
@dataclasses.dataclass
class Holder:
    items: list[typing.Any]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Holder([1, 2, {"client": Client()}]), r"^result\.items\[2\]\['client'\] is a Client, which has no encoding: return"),
        ({(1, 2): Client()}, r"^result\[tuple\] is a Client"),
        ((1, Client), r"^result\[1\] is a type"),
        ({lambda: 0}, r"^result\{…\} is a function"),
        (type("Text", (str,), {})("x"), r"^result is a Text"),
        (collections.defaultdict(lambda: 0), r"^result is a defaultdict of <lambda>"),
        (np.array([Client()]), r"^result is an array of Python objects"),
        ([np.ma.masked_array([1])], r"^result\[0\] is a MaskedArray"),
        (np.array(["a"], np.dtypes.StringDType()), r"^result is an array of variable-length strings"),
    ],
)
def test_a_part_without_an_encoding_is_named(value, message):
    with pytest.raises(NotEncodable, match=message):
        encode(value)


def test_the_message_starts_with_what_the_caller_says():
    with pytest.raises(NotEncodable, match=r"^signal go\[0\] is a Client"):
        encode([Client()], where="signal go")


def test_a_cycle_is_refused_by_name():
    value = {"a": [1]}
    value["a"].append(value)
    with pytest.raises(NotEncodable, match=r"^result\S* contains itself"):
        encode(value)
    value["a"].pop()


def test_deep_nesting_is_refused_with_a_message_and_not_a_recursion_error():
    value = 0
    for _ in range(100_000):
        value = [value]
    with pytest.raises(NotEncodable, match=r"^result\[0\]\[0\].*nested"):
        encode(value)
    while value:
        value = value.pop()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda v: [v, 0.5, ()],
        lambda v: (v,),
        lambda v: {1: v},
        Box,
        lambda v: frozenset({v}),
        lambda v: Open(a=1, v=v),
        lambda v: Pair(v),
    ],
)
def test_what_can_be_encoded_can_be_decoded_however_deep(wrap):
    value = ()
    while True:
        try:
            encode(wrap(value))
        except NotEncodable:
            break
        value = wrap(value)
    assert type(decode(*encode(value))) is type(value)


def test_an_ancestor_shared_twice_is_no_cycle():
    shared = [1]
    assert there_and_back([shared, shared, {"a": shared}]) == [[1], [1], {"a": [1]}]


def test_a_pickle_is_written_and_opened_only_on_request():
    value = {"plain": 1, "odd": {"pair": pathlib.PurePosixPath, "n": fractions.Fraction(1, 2)}}
    with pytest.raises(NotEncodable):
        encode(value)
    head, buffers = encode(value, pickle=True)
    assert decode(head, buffers, pickle=True) == value
    with pytest.raises(NotDecodable, match="pickle"):
        decode(head, buffers)
    assert "pickle" in repr(decode(head, buffers, lenient=True))


def test_what_even_pickle_refuses_is_named():
    with pytest.raises(NotEncodable, match=r"^result\[0\] is a lock.*pickle refused it"):
        encode([threading.Lock()], pickle=True)


def test_a_lenient_decode_never_unpickles():
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    head, buffers = encode([Bomb()], pickle=True)
    decode(head, buffers, lenient=True)
    assert pickle.dumps


def test_a_lenient_decode_shows_what_it_cannot_rebuild():
    cls = dataclasses.make_dataclass("Gone", [("x", int), ("big", object)])
    cls.__module__ = "gone"
    register(cls)
    mood = register(enum.Enum("GoneMood", {"SAD": 2}, module="gone"))
    head, buffers = encode({"a": cls(1, np.zeros(9999)), "m": mood.SAD, "blob": b"x" * OUT_OF_BAND})
    assert len(buffers) == 2
    declared._declared.pop("gone:Gone")
    declared._by_short.pop("gone:Gone")
    declared._declared.pop("gone:GoneMood")
    declared._by_short.pop("gone:GoneMood")
    assert repr(decode(head, lenient=True)) == ("{'a': Gone(x=1, big=<array <f8 [9999]>), 'm': <GoneMood.SAD>, 'blob': <buffer>}")
    with pytest.raises(NotDecodable):
        decode(head, buffers)


def test_damaged_bytes_are_reported_as_damage():
    with pytest.raises(StoreDamaged):
        decode(b"\xc1")
    with pytest.raises(StoreDamaged):
        decode(encode((1, 2)).head[:-1])
