"""The form of an answer: a Python type as JSON schema, and the reading of what a model wrote by it.

    form = form_of(list[int])
    form.schema                        # a models.Schema, for a server or a grammar
    form.read('{"answer": [1, 2]}')    # [1, 2]; raises FormError, whose text tells the model what to mend

msgspec reads dataclasses, structs, typed dictionaries, builtins and their unions. Types in which pydantic has a say are read by
pydantic, whole, so that no validator is passed over. An answer that is no object is wrapped in one, `{"answer": …}`: servers take
nothing else. Whatever a server promises, an answer is read by the type: a server may know less of a schema than it says.

This file asks no model.
"""

from __future__ import annotations

import importlib.util
import json
import re
import typing
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, is_dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar

import msgspec

from headway.errors import UsageError
from headway.journal.codec.declared import declare, stable_tag
from headway.models.messages import Schema
from headway.models.structured.closing import close_schema

T = TypeVar("T")

WRAPPED = "answer"
SAID = 500  # characters of what is wrong with an answer
TRIED = 64  # places of a text at which an answer may begin
_PYDANTIC = ("pydantic", "pydantic_core", "annotated_types")
_FENCE = re.compile(r"```[\w-]*\n(.*?)```", re.DOTALL)
_BEGINS = re.compile(r"[{\[]")
_Made = tuple[dict[str, Any], Callable[[str], Any], Callable[[str], Any] | None]
"""The JSON schema of a type, the reading of it, and that of an unwrapped answer where it is wrapped."""


class FormError(ValueError):
    """What a model wrote is not of the form. Its text says what is wrong and where, for the model."""


@dataclass(frozen=True, slots=True)
class Form(Generic[T]):
    """The form of an answer; made by `form_of`.

    Attributes:
        schema: the form, as a server or a grammar is told of it.
        types: the names of the classes in it. Two types of one schema are two forms.
    """

    schema: Schema
    types: tuple[str, ...]
    _decode: Callable[[str], T] = field(compare=False, repr=False)
    _decode_bare: Callable[[str], T] | None = field(compare=False, repr=False)

    def read(self, text: str) -> T:
        """The answer in a text that is nothing else.

        Args:
            text: JSON of this form.

        Returns:
            The value.

        Raises:
            ValueError: as `FormError`: it is not of this form.
        """
        return _read(self._decode, text)

    def read_tolerant(self, text: str) -> T:
        """The answer in what was written by a model that was only told of the form: in a fence, after other text, or unwrapped.

        Args:
            text: what the model wrote.

        Returns:
            The value of the last JSON in it.

        Raises:
            ValueError: as `FormError`: there is none, or it is not of this form.
        """
        found = _find_json(text)
        try:
            return _read(self._decode, found)
        except FormError:
            if self._decode_bare is None or found.lstrip().startswith(f'{{"{WRAPPED}"'):
                raise
        return _read(self._decode_bare, found)


@typing.overload
def form_of(kind: type[T], name: str = "") -> Form[T]: ...
@typing.overload
def form_of(kind: Any, name: str = "") -> Form[Any]: ...
def form_of(kind: Any, name: str = "") -> Form[Any]:
    """The form of a type's values.

    Args:
        kind: a dataclass, a msgspec struct, a typed dictionary, a pydantic model, a builtin type, a union or a list of such.
        name: what servers call it; by default the type's name.

    Returns:
        The form. Its classes are declared, so that their values can be recorded.

    Raises:
        UsageError: the type's values have no form in JSON.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class City:
        ...     name: str
        ...     people: int
        >>> form = form_of(City)
        >>> form.read('{"name": "Rome", "people": 2746984}').people
        2746984
        >>> form.read('{"name": "Rome", "people": "many"}')
        Traceback (most recent call last):
        headway.models.structured.forms.FormError: Expected `int`, got `str` - at `$.people`
    """
    if isinstance(kind, Schema):
        raise UsageError("a models.Schema says how an answer is written, not what it is read as: name a type, as dict or list[int]")
    try:
        return _make_form_once(kind, name)
    except TypeError:  # its metadata can't be hashed
        return _make_form(kind, name)


def _make_form(kind: Any, name: str) -> Form[Any]:
    try:
        parts = list(_parts_of(kind, []))
        schema, decode, decode_bare = _make_by_library(kind, name, parts)
    except (TypeError, NameError, RecursionError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        why = lines[-1] if lines[-1].endswith("is not supported") else lines[0]
        raise UsageError(f"schema={kind!r:.80}: no answer can have this form: {why}") from None
    declare(kind)
    classes = {stable_tag(part) for part in parts if isinstance(part, type) and part.__module__ != "builtins"}
    closed, strict = close_schema(schema)
    named = re.sub(r"[^A-Za-z0-9_-]+", "_", name or getattr(kind, "__name__", WRAPPED))[:64]
    return Form(Schema(named, closed, strict), tuple(sorted(classes)), decode, decode_bare)


_make_form_once = lru_cache(maxsize=256)(_make_form)


# --- which library reads a type --------------------------------------------------------------------------------------


def _make_by_library(kind: Any, name: str, parts: list[Any]) -> _Made:
    if any(type(part).__module__.partition(".")[0] in _PYDANTIC or hasattr(part, "__pydantic_validator__") for part in parts):
        return _make_by_pydantic(kind, name)
    try:
        return _make_by_msgspec(kind, name)
    except TypeError:
        if any(map(is_dataclass, parts)) and importlib.util.find_spec("pydantic") is not None:
            with suppress(TypeError):  # pydantic reads unions of dataclasses, where there are no structs in them
                return _make_by_pydantic(kind, name)
        raise


def _parts_of(kind: Any, seen: list[Any]) -> Iterator[Any]:
    """A type and all that it is made of: what its brackets hold, its metadata, the types of its fields."""
    if any(kind is known for known in seen):
        return
    seen.append(kind)
    yield kind
    inside = list(typing.get_args(kind))
    if isinstance(kind, type) and kind.__module__ != "builtins":
        if hasattr(kind, "__pydantic_validator__"):
            return  # pydantic knows what it is made of
        inside += typing.get_type_hints(kind, include_extras=True).values()
    for part in inside:
        yield from _parts_of(part, seen)


def _make_by_msgspec(kind: Any, name: str) -> _Made:
    schema = msgspec.json.schema(kind)
    bare = msgspec.json.Decoder(kind)
    if _is_object(schema):
        return schema, bare.decode, None
    wrapper = msgspec.defstruct(name or WRAPPED, [(WRAPPED, kind)], forbid_unknown_fields=True)
    whole = msgspec.json.Decoder(wrapper)
    return msgspec.json.schema(wrapper), lambda text: getattr(whole.decode(text), WRAPPED), bare.decode


def _make_by_pydantic(kind: Any, name: str) -> _Made:
    try:
        import pydantic
    except ModuleNotFoundError:
        raise UsageError(f"schema={kind!r:.80} needs pydantic: pip install pydantic") from None
    try:
        bare = pydantic.TypeAdapter(kind)
        schema = bare.json_schema()
        if _is_object(schema):
            return schema, bare.validate_json, None
        closed = pydantic.ConfigDict(extra="forbid")
        wrapper: Any = pydantic.create_model(name or WRAPPED, __config__=closed, **{WRAPPED: (kind, ...)})  # type: ignore[call-overload]
    except pydantic.errors.PydanticUserError as error:
        raise TypeError(str(error)) from None
    return (
        wrapper.model_json_schema(),
        lambda text: getattr(wrapper.model_validate_json(text), WRAPPED),
        bare.validate_json,
    )


def _is_object(schema: Any) -> bool:
    kept: Any = schema.get("$defs", {})
    where = schema.get("$ref", "").removeprefix("#/$defs/")
    return bool(kept.get(where, schema).get("type") == "object")


# --- reading ---------------------------------------------------------------------------------------------------------


def _read(decode: Callable[[str], T], text: str) -> T:
    try:
        return decode(text)
    except RecursionError:
        raise FormError("it is nested too deeply") from None
    except ValueError as error:  # of msgspec, pydantic and validators alike
        raise FormError(_say(error)) from None


def _say(error: ValueError) -> str:
    """What is wrong, in a line for each fault."""
    faults = getattr(error, "errors", None)
    if not callable(faults):
        return str(error)[:SAID]
    said = faults(include_url=False, include_input=False)
    return "\n".join(f"{one['msg']} - at `{'.'.join(['$', *map(str, one['loc'])])}`" for one in said)[:SAID]


def _find_json(text: str) -> str:
    """The last JSON in a text: what the last fence holds, else the last object or list, else the text itself.

    >>> _find_json('Sure! {"n": 1} is it: {"n": 2}. Bye')
    '{"n": 2}'
    """
    if fences := _FENCE.findall(text):
        return str(fences[-1]).strip()
    found, at = text.strip(), 0
    decoder = json.JSONDecoder()
    for _ in range(TRIED):
        begin = _BEGINS.search(text, at)
        if begin is None:
            break
        try:
            _, at = decoder.raw_decode(text, begin.start())
            found = text[begin.start() : at]
        except (ValueError, RecursionError):
            at = begin.end()
    return found
