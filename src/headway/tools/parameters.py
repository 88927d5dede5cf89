"""What a function takes, as JSON schema for a model, and a model's JSON as the function's arguments.

    parameters = read_parameters(area, "area")
    parameters.schema                                   # {"type": "object", "properties": {"country": {"type": "string"}}, …}
    parameters.parse('{"country": "Italy"}')            # {"country": "Italy"}

The schema is made of the function's type hints by msgspec, so `Annotated[int, msgspec.Meta(ge=0)]`, `Literal`, unions, dataclasses,
enums and the like are what they are there; pydantic's models are described by pydantic. Arguments are read into the very types of
the hints. What is harmless is converted ("5" for 5), all else is refused with an error that tells the model what to change.

A function whose parameters have no schema is refused when the tool is made, never when a model calls it.
"""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from headway.engine.identity.signature import Unkeyed
from headway.errors import ToolArgumentsError as ToolArgumentsError
from headway.errors import UsageError
from headway.near import near_sentence
from headway.tools.kinds import Kinds

_P = inspect.Parameter
_MOST_SAID = 500  # characters of what a model sent, in an error


class Parameters(Protocol):
    """What a tool takes: described to a model, and read from what the model writes."""

    @property
    def schema(self) -> Mapping[str, Any]:
        """JSON schema of an object."""

    def parse(self, arguments: str) -> dict[str, Any]:
        """Read the arguments that a model wrote.

        Args:
            arguments: JSON.

        Returns:
            The arguments by name.

        Raises:
            ToolArgumentsError: they don't fit.
        """

    def place(self, values: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Say how the tool's task is called with them.

        Args:
            values: the arguments by name.

        Returns:
            Those by place, and those by name.
        """


class FunctionParameters:
    """The parameters of a Python function."""

    def __init__(self, record: type[msgspec.Struct], kinds: Kinds, defaults: Mapping[str, Any], leading: tuple[str, ...]) -> None:
        self.schema: Mapping[str, Any] = kinds.schema_of(record, defaults)
        self._leading = leading  # those that can only be given by place
        self._record = record
        self._decoder = msgspec.json.Decoder(record, strict=False, dec_hook=kinds.decode)

    def parse(self, arguments: str) -> dict[str, Any]:
        """Read what a model wrote.

        Args:
            arguments: a JSON object; nothing at all counts as one without members.

        Returns:
            The arguments that were given, by name. What was left out is left to the function's defaults.

        Raises:
            ToolArgumentsError: it is no JSON, or does not fit.
        """
        text = arguments if arguments.strip() else "{}"
        try:
            made = self._decoder.decode(text)
        except msgspec.ValidationError as error:
            if (inner := _unwrap(text)) is not None:
                return self.parse(inner)
            raise ToolArgumentsError(f"{self._explain(str(error))} {self._takes()}") from None
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise ToolArgumentsError(explain_json(text, error)) from None
        given = ((name, getattr(made, name)) for name in self._record.__struct_fields__)
        return {name: value for name, value in given if value is not LEFT_OUT}

    def place(self, values: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments as the function is called with them."""
        placed = [values[name] for name in self._leading if name in values]
        return tuple(placed), {name: value for name, value in values.items() if name not in self._leading}

    def _explain(self, said: str) -> str:
        """msgspec's words, with what the model may have meant by a name that there is not."""
        _, unknown, name = said.partition("unknown field `")
        if not unknown:
            return f"{said}."
        return f"{said}; {near_sentence(name.partition('`')[0], list(self.schema['properties']))}"

    def _takes(self) -> str:
        required = self.schema.get("required", ())
        defs = self.schema.get("$defs", {})
        said = [
            f"{name} ({_kind(each, defs)}{'' if name in required else ', optional'})"
            for name, each in self.schema["properties"].items()
        ]
        return f"It takes {', '.join(said)}" if said else "It takes no arguments"


class _LeftOut:
    """In the place of an argument that the model did not give."""

    def __repr__(self) -> str:
        return "<left out>"


LEFT_OUT = _LeftOut()


def read_parameters(fn: Callable[..., Any], name: str, said: Mapping[str, str], *, batch: bool = False) -> FunctionParameters:
    """Describe what a function takes.

    Args:
        fn: the function.
        name: what the tool is called, for errors.
        said: what the docstring says of each parameter.
        batch: whether the function takes a list of what one call gives.

    Returns:
        Its parameters. Those that are `hw.unkeyed` and have a default are not for the model.

    Raises:
        UsageError: a parameter has no type hint, or one that has no schema.
    """
    hints = _hints(fn, name)
    kinds = Kinds()
    fields: list[tuple[str, Any, Any]] = []
    defaults: dict[str, Any] = {}
    leading: list[str] = []
    for parameter in inspect.signature(fn).parameters.values():
        hint = hints.get(parameter.name, _P.empty)
        if batch:
            hint = _item(hint)
        if _is_hidden(parameter, hint, name):
            continue
        if hint is _P.empty:
            raise UsageError(f"tool {name}: the parameter {parameter.name} has no type hint, so a model can't be told what to give")
        hint = kinds.describe(hint, f"tool {name}: the parameter {parameter.name}", said.get(parameter.name, ""))
        if parameter.kind is _P.POSITIONAL_ONLY:
            leading.append(parameter.name)
        if parameter.default is _P.empty or batch:
            fields.append((parameter.name, hint, msgspec.field()))
        else:
            defaults[parameter.name] = parameter.default
            fields.append((parameter.name, hint, msgspec.field(default_factory=lambda: LEFT_OUT)))
    record = msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)
    return FunctionParameters(record, kinds, defaults, tuple(leading))


def _hints(fn: Callable[..., Any], name: str) -> dict[str, Any]:
    """The type hints, `Annotated` and all. Raises UsageError where a name in them can't be found."""
    target = fn
    while hasattr(target, "func") and not inspect.isroutine(target):  # a partial
        target = target.func
    if not (inspect.isroutine(target) or inspect.isclass(target)):
        target = type(target).__call__  # an object that is called
    try:
        return typing.get_type_hints(target, include_extras=True)
    except NameError as error:
        raise UsageError(
            f"tool {name}: its type hints can't be read: {error}. Define it at the top of the module, not for type checkers alone"
        ) from None
    except TypeError as error:
        raise UsageError(f"tool {name}: its type hints can't be read: {error}") from None


def returns_bytes(fn: Callable[..., Any]) -> str:
    """The name of the type where a function says that it returns bytes."""
    try:
        hint = inspect.signature(fn).return_annotation
    except (TypeError, ValueError):
        return ""
    known = {"bytes": bytes, "bytearray": bytearray, "memoryview": memoryview}
    return next((name for name, kind in known.items() if hint in (name, kind)), "")


def _item(hint: Any) -> Any:
    """The type of an item of a batch."""
    found = typing.get_args(hint)
    return found[0] if found else _P.empty


def _is_hidden(parameter: inspect.Parameter, hint: Any, name: str) -> bool:
    """Whether a parameter is not the model's to give. Raises UsageError for one that nobody could give."""
    where = f"tool {name}: the parameter {parameter.name}"
    if parameter.kind in (_P.VAR_POSITIONAL, _P.VAR_KEYWORD):
        raise UsageError(f"{where} takes any number of arguments, which no schema says: give the tool a function without it")
    marks = typing.get_args(hint)[1:] if typing.get_origin(hint) is typing.Annotated else ()
    if not any(isinstance(mark, Unkeyed) for mark in marks):
        return False
    if parameter.default is _P.empty:
        raise UsageError(f"{where} is unkeyed, so it is not the model's to give: give it a default, or bind it before")
    return True


def explain_json(text: str, error: Exception) -> str:
    """Say to a model what is wrong with its JSON."""
    said = str(error)
    if "truncated" in said and not _is_lenient_json(text):
        return (
            f"the arguments end in the middle, after {len(text)} characters: the call was cut off. Send it again, whole and shorter"
        )
    shown = text if len(text) <= _MOST_SAID else text[:_MOST_SAID] + "…"
    return f"the arguments are no valid JSON ({said}): {shown!r}. Send one JSON object"


def _is_lenient_json(text: str) -> bool:
    """Whether it is whole, for a reader that takes halves of characters: msgspec calls those cut off."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _unwrap(text: str) -> str | None:
    """The object inside of a string: some models write their JSON as a text of JSON."""
    try:
        inner = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return inner if isinstance(inner, str) and inner.lstrip().startswith("{") else None


def _kind(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    """A property in a word or two."""
    schema = defs.get(str(schema.get("$ref", "")).rpartition("/")[2], schema)
    if "enum" in schema:
        return "one of " + ", ".join(map(repr, schema["enum"][:20]))
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(each, defs) for each in schema["anyOf"]))
    return str(schema.get("type", "any value"))
