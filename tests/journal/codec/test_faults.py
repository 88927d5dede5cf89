"""An error is always recordable, and comes back as its own class where that class is loaded."""

import dataclasses
import sys
import threading
import types

import pytest

from headway import errors
from headway.journal.codec.codec import decode, decode_error, encode, encode_error, keep_error, register
from headway.journal.records import Error

calls = []


class Refusal(Exception):
    def __init__(self, code, *, client=None):
        calls.append(code)
        super().__init__(f"code {code}")
        self.code = code
        self.client = client


class SlottedError(Exception):
    __slots__ = ("where",)


def raised(exc):
    try:
        raise exc
    except BaseException as error:
        return error


def there_and_back(exc):
    return decode_error(encode_error(exc))


@pytest.mark.parametrize(
    "exc",
    [
        ValueError("no", 3), KeyError("k"), StopIteration(5), SystemExit(2), KeyboardInterrupt(), AssertionError(),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), FileNotFoundError(2, "no such file", "f.txt"), TimeoutError("late"),
        SyntaxError("bad", ("f.py", 1, 2, "x")), errors.CallTimeout("slow"), errors.UnknownRun("no run"),
        errors.StoreFull(28, "full"), errors.NotEncodable("x"),
    ],
    ids=lambda exc: type(exc).__name__,
)  # fmt: skip
def test_builtin_and_headway_errors_come_back_as_they_were(exc):
    back = there_and_back(raised(exc))
    assert type(back) is type(exc)
    assert (str(back), back.args) == (str(exc), exc.args)


def test_a_file_name_and_a_module_name_survive():
    assert there_and_back(FileNotFoundError(2, "no", "f.txt")).filename == "f.txt"
    assert there_and_back(ImportError("no", name="mod", path="p")).name == "mod"


def test_a_users_error_comes_back_with_its_attributes_and_without_running_its_init():
    exc = Refusal(404)
    calls.clear()
    back = there_and_back(exc)
    assert type(back) is Refusal
    assert (str(back), back.code, back.client) == ("code 404", 404, None)
    assert not calls


def test_an_attribute_that_cannot_be_encoded_is_left_out():
    back = there_and_back(Refusal(1, client=threading.Lock()))
    assert back.code == 1
    assert not hasattr(back, "client")


def test_an_argument_that_cannot_be_encoded_is_kept_as_text():
    exc = ValueError("bad", threading.Lock())
    back = there_and_back(exc)
    assert isinstance(back, ValueError)
    assert str(back) == str(exc)
    assert back.args[0] == "bad"
    assert "lock" in back.args[1]


def test_an_argument_too_large_for_a_record_leaves_the_text():
    exc = ValueError(*["x" * 60_000] * 5)
    back, told = there_and_back(exc), keep_error(exc).error
    assert isinstance(back, ValueError)
    assert len(back.args) == 1
    assert str(back) == str(told)
    assert "characters in all" in str(told)


def test_an_error_whose_class_is_not_loaded_speaks_through_a_remote_error():
    back = decode_error(Error(type="elsewhere:Odd", message="it broke"))
    assert isinstance(back, errors.RemoteError)
    assert (type(back).__module__, type(back).__name__, str(back)) == ("elsewhere", "Odd", "it broke")
    assert encode_error(back).type == "elsewhere:Odd"


def test_an_error_whose_class_is_not_loaded_is_caught_by_what_it_was_a_kind_of():
    calls.clear()
    odd = Error(type="elsewhere:Odd", message="it broke", bases=["elsewhere:Older", f"{__name__}:Refusal", "builtins:Exception"])
    back = decode_error(odd)
    assert isinstance(back, Refusal)
    assert not isinstance(back, errors.RemoteError)
    told = decode_error(odd, remote=True)
    assert isinstance(told, Refusal)
    assert isinstance(told, errors.RemoteError)
    assert isinstance(decode_error(encode_error(told)), errors.RemoteError)
    assert not calls


def test_another_class_of_the_same_name_in_another_package_is_not_taken_for_it(monkeypatch):
    other = type("Timeout", (Exception,), {"__module__": "one.package.errors"})
    back = decode_error(Error(type="another.package.errors:Timeout", message="late", bases=["builtins:Exception"]))
    assert not isinstance(back, other)
    assert isinstance(decode_error(Error(type="errors:Timeout", message="late")), other)


def test_looking_for_a_class_asks_no_module_that_would_import(monkeypatch):
    class Eager(types.ModuleType):
        def __getattribute__(self, name):
            raise AssertionError("asked")

        __getattr__ = __getattribute__

    monkeypatch.setitem(sys.modules, "eager", Eager("eager"))
    assert type(decode_error(Error(type="eager:Odd", message="x"))).__name__ == "Odd"


def test_a_group_keeps_its_parts():
    exc = ExceptionGroup("two", [ValueError("a"), ExceptionGroup("in", [Refusal(3)])])
    back = there_and_back(raised(exc))
    assert type(back) is ExceptionGroup
    assert back.message == "two"
    assert type(back.exceptions[0]) is ValueError
    assert back.exceptions[1].exceptions[0].code == 3
    assert type(there_and_back(BaseExceptionGroup("b", [KeyboardInterrupt()]))) is BaseExceptionGroup


def test_notes_and_the_cause_survive():
    exc = ValueError("outer")
    exc.__cause__ = KeyError("inner")
    exc.add_note("while testing")
    back = there_and_back(exc)
    assert back.__notes__ == ["while testing"]
    assert isinstance(back.__cause__, KeyError)
    assert back.__cause__.args == ("inner",)
    assert not hasattr(there_and_back(ValueError()), "__notes__")


def test_causes_in_a_circle_end():
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert str(there_and_back(one).__cause__) == "other"


def test_the_record_has_text_the_end_of_the_trace_and_whose_fault_it_was():
    def deep(n):
        if n == 0:
            raise ValueError("at the bottom " + "x" * 100)
        deep(n - 1)

    with pytest.raises(ValueError, match="at the bottom") as caught:
        deep(200)
    record = encode_error(caught.value)
    assert record.type == "builtins:ValueError"
    assert len(record.trace) <= 4097
    assert "at the bottom" in record.trace
    assert not record.fault
    assert encode_error(errors.WrongArguments("x")).fault


def test_an_error_that_cannot_even_be_printed_is_recorded():
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

        __repr__ = __str__

    record = encode_error(Mute(Mute()))
    assert "str() failed" in record.message
    assert "Mute" in record.type


def test_an_error_is_a_value_too():
    @register
    @dataclasses.dataclass
    class Report:
        failed: Exception

    back = decode(*encode([Report(Refusal(7)), OSError(2, "no")]))
    assert back[0].failed.code == 7
    assert type(back[1]) is FileNotFoundError


def test_errors_that_hold_themselves_end():
    exc = ValueError()
    exc.args = (exc, [exc])
    back = there_and_back(exc)
    assert isinstance(back, ValueError)
    assert isinstance(back.args[0], str)
    exc.args = ()
