"""Secrets that only tools see: a placeholder everywhere else.

    vault = open_vault(names=["PORTAL_PASSWORD"])                       # from the environment, in each life of the program anew
    offered = vault.guard([login, search], allow={"login": ["password"]})
    answer = await agent(vault.guard_model(model), offered, f"Log in with {vault['PORTAL_PASSWORD']} and …")

The model, the prompts, the journal, logs, labels and events know `«secret:PORTAL_PASSWORD»`. The secret itself is filled in inside
the executing call of a tool that was allowed it, and cleaned out of what that call returns, raises or logs, in all forms that
`forms` knows. What a tool prints, writes into files or sends is the tool's own business.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from headway.errors import UsageError
from headway.methods.guard.cleaning import clean_value
from headway.methods.guard.filling import Filler, guard_task, placeholders_in
from headway.methods.guard.forms import FEWEST, NAME, Cleaner, placeholder
from headway.methods.guard.guarded_model import guard_any_model
from headway.methods.guard.logs import clean_logs
from headway.methods.guard.redaction import redact
from headway.models.ask import AnyModel
from headway.models.messages import ToolSpec
from headway.near import near_misses
from headway.tools.parameters import Parameters, ToolArgumentsError
from headway.tools.tool import AnyTool, Tool, tool

Source = Mapping[str, str] | Callable[[str], str] | None
Allowed = Mapping[str, Collection[str] | Mapping[str, Collection[str]]]


class Vault(Mapping[str, str]):
    """Secrets by name; opened by `open_vault`. As a mapping it gives the placeholders, and nothing gives the secrets.

    As an argument of a call it is named by its names. It can't be stored, pickled, printed or sent.

    Args:
        secrets: the secrets by name.
        redacts: whether what looks like a secret is taken out as well.
    """

    __slots__ = ("_cleaner", "_redacts", "_secrets")

    def __init__(self, secrets: Mapping[str, str], *, redacts: bool) -> None:
        self._secrets = dict(secrets)
        self._redacts = redacts
        self._cleaner = Cleaner(self._secrets, redact if redacts else None)
        clean_logs(self._cleaner)

    def __getitem__(self, name: str) -> str:
        if name not in self._secrets:
            raise KeyError(f"the vault has no secret {name!r:.80}; {near_misses(str(name), list(self._secrets))}")
        return placeholder(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._secrets)

    def __len__(self) -> int:
        return len(self._secrets)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"<vault of {', '.join(self._secrets) or 'nothing'}>"

    def __reduce__(self) -> tuple[Any, ...]:
        raise UsageError("a vault can't be pickled or sent to another process: open it there, or guard a tool with it")

    def __headway_key__(self) -> object:
        return ("vault", *sorted(self._secrets))

    def hide(self, value: Any) -> Any:
        """Put placeholders in the place of secrets.

        Args:
            value: a text, or any value with texts inside.

        Returns:
            The value without secrets, the same object where there were none.

        Example:
            >>> from headway.methods.guard import open_vault
            >>> open_vault({"PORTAL": "correct horse"}).hide({"url": "https://ada:correct%20horse@example.org"})
            {'url': 'https://ada:«secret:PORTAL»@example.org'}
        """
        return clean_value(self._cleaner, value)

    def guard(self, tools: Sequence[AnyTool], *, allow: Allowed | None = None) -> list[Tool]:
        """Let tools be given secrets, and keep secrets out of what comes back.

        Args:
            tools: tools, tasks or typed functions. All that a model is offered, so that none of them leaks one.
            allow: which parameters of which tool may hold secrets: `{"login": ["password"]}`, or also which secrets:
                `{"login": {"password": ["PORTAL"]}}`. Each other placeholder is refused, and the model told so.

        Returns:
            Tools of the same names. A model is told in a tool's description what it may be given. A tool that may be given secrets
            makes no calls of tasks, for those would be recorded.

        Raises:
            UsageError: `allow` names a tool, a parameter or a secret that there is not, or a tool whose calls can't be guarded: one
                of a batch task, or for secrets one of a task with `cache="forever"`.

        Example:
            >>> from headway import models, tools
            >>> from headway.methods.guard import open_vault
            >>> @tools.tool
            ... async def login(user: str, password: str) -> str:
            ...     '''Log in.'''
            ...     return f"{user} is in, with {password[:2]}…" if password == "correct horse" else f"wrong: {password}"
            >>> @hw.task
            ... async def program() -> list[str]:
            ...     vault = open_vault({"PORTAL": "correct horse"})
            ...     offered = vault.guard([login], allow={"login": ["password"]})
            ...     asked = [
            ...         models.ToolCall("a", "login", '{"user": "ada", "password": "«secret:PORTAL»"}'),
            ...         models.ToolCall("b", "login", '{"user": "«secret:PORTAL»", "password": "?"}'),
            ...     ]
            ...     return [result.content for result in await tools.run_calls(offered, asked)]
            >>> for said in hw.run(program, store=None):
            ...     print(said)
            ada is in, with co…
            login: user can't be given the secret PORTAL. It may be in: password. Nothing was run.

        Source:
            ResponsibleTA, arXiv 2306.01242: a local memory of secrets, with placeholders for the model. It departs: a parameter
            must be allowed a secret, results and errors are cleaned, and the secret is in no record.
        """
        made = [tool(each) for each in tools]
        rules = self._read_rules(made, allow or {})
        return [self._guard_tool(each, rules.get(each.name, {})) for each in made]

    def guard_model(self, model: AnyModel) -> AnyModel:
        """Keep secrets out of what a model is asked, and out of what it answers.

        Args:
            model: any model.

        Returns:
            The same model, for keys and prices too. Its requests are cleaned before they are recorded or sent.

        Example:
            >>> from headway import models
            >>> from headway.methods.guard import open_vault
            >>> class Parrot:
            ...     name = "parrot"
            ...     async def stream(self, request):
            ...         yield models.Piece(request.prompt, 0, "stop", tokens=2)
            >>> @hw.task
            ... async def program() -> str:
            ...     model = open_vault({"PORTAL": "correct horse"}).guard_model(Parrot())
            ...     return (await models.sample(model, "say correct horse")).text
            >>> hw.run(program, store=None)
            'say «secret:PORTAL»'
        """
        return guard_any_model(model, self._cleaner)

    def _guard_tool(self, plain: Tool, rules: Mapping[str, frozenset[str]]) -> Tool:
        spec = plain.task.spec
        if spec.batch or (rules and spec.forever):
            why = "its task takes a batch" if spec.batch else 'its results are shared between runs (cache="forever")'
            raise UsageError(f"vault.guard: the tool {plain.name} can't be guarded: {why}. Offer a task that calls it")
        given = {name: self._secrets[name] for names in rules.values() for name in names}
        filler = Filler(given, self._cleaner, spec, redacts=self._redacts, hidden=self._secrets)
        told = "".join(
            f"\n{name} may be given a secret by its placeholder: {', '.join(map(placeholder, sorted(names)))}."
            for name, names in rules.items()
        )
        known = ToolSpec(plain.spec.name, plain.spec.description + told, plain.spec.parameters, plain.spec.strict)
        parameters = _FilledParameters(plain.parameters, plain.name, self, rules, filler)
        return Tool(known, plain.labels, guard_task(plain.task, filler, leaf=bool(rules)), parameters)

    def _read_rules(self, tools: Sequence[Tool], allow: Allowed) -> dict[str, dict[str, frozenset[str]]]:
        """Which secrets each parameter of each tool may be given."""
        named = {each.name: each for each in tools}
        rules: dict[str, dict[str, frozenset[str]]] = {}
        for name, allowed in allow.items():
            if name not in named:
                raise UsageError(f"vault.guard: allow= names a tool {name!r} that is not among those; {near_misses(name, named)}")
            if isinstance(allowed, str):
                raise UsageError(f"vault.guard: allow[{name!r}]={allowed!r}: a list of parameters, or secrets by parameter")
            known = list(named[name].parameters.schema.get("properties", {}))
            by_parameter = allowed if isinstance(allowed, Mapping) else {each: list(self._secrets) for each in allowed}
            for parameter, secrets in by_parameter.items():
                if parameter not in known:
                    raise UsageError(f"vault.guard: {name} takes no {parameter!r}; {near_misses(parameter, known)}")
                for secret in [secrets] if isinstance(secrets, str) else secrets:
                    if secret not in self._secrets:
                        raise UsageError(
                            f"vault.guard: there is no secret {secret!r:.80}; {near_misses(secret, list(self._secrets))}"
                        )
            rules[name] = {each: frozenset([names] if isinstance(names, str) else names) for each, names in by_parameter.items()}
        return rules


class _FilledParameters:
    """The parameters of a tool that may be given secrets."""

    def __init__(self, plain: Parameters, name: str, vault: Vault, rules: Mapping[str, frozenset[str]], filler: Filler) -> None:
        self._plain, self._name, self._vault, self._rules, self._filler = plain, name, vault, rules, filler
        self.identity = (*getattr(plain, "identity", ()), tuple((each, tuple(sorted(names))) for each, names in rules.items()))

    @property
    def schema(self) -> Mapping[str, Any]:
        return self._plain.schema

    def parse(self, arguments: str) -> dict[str, Any]:
        values = self._plain.parse(self._vault.hide(arguments))
        self._check(values)
        return values

    def place(self, values: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        values = self._vault.hide(values)
        self._check(values)
        args, kwargs = self._plain.place(values)
        return (self._filler, *args), kwargs

    def _check(self, values: Mapping[str, Any]) -> None:
        """Raises ToolArgumentsError where a placeholder is in a place that may not be given the secret."""
        for parameter, value in values.items():
            for secret in sorted(placeholders_in(value)):
                if secret in self._rules.get(parameter, ()):
                    continue
                if secret not in self._vault:
                    raise ToolArgumentsError(f"There is no secret {secret}; {near_misses(secret, list(self._vault))}")
                places = [each for each, names in self._rules.items() if secret in names]
                may = f"It may be in: {', '.join(places)}." if places else f"{self._name} may be given no such secret."
                raise ToolArgumentsError(f"{parameter} can't be given the secret {secret}. {may} Nothing was run.")


def open_vault(source: Source = None, names: Sequence[str] | None = None, *, redact: bool = False) -> Vault:
    """Open a vault of secrets.

    A resumed program opens it again: the secrets themselves are nowhere in the store. Rotated ones are used from then on.

    Args:
        source: where secrets are: a mapping by name, a function from a name to the secret, or None for the environment.
        names: which secrets; all of a mapping where there are none.
        redact: whether what looks like a secret to `redact` is taken out as well, of results, errors, logs and prompts. It needs
            the extra `guard`, and takes about a millisecond for a page of text.

    Returns:
        The vault. Its logs are cleaned from now on, for as long as it lives.

    Raises:
        UsageError: a secret is missing, is no text, or is so short that it would be found everywhere.

    Example:
        >>> from headway.methods.guard import open_vault
        >>> vault = open_vault({"PORTAL": "correct horse"})
        >>> vault, vault["PORTAL"]
        (<vault of PORTAL>, '«secret:PORTAL»')
    """
    import re

    if isinstance(names, str):
        raise UsageError(f"open_vault: names={names!r:.80}: a list of names")
    if names is None:
        if not isinstance(source, Mapping):
            raise UsageError("open_vault: say which secrets there are: names=[…]")
        names = list(source)
    found: dict[str, str] = {}
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(NAME, name):
            raise UsageError(f"open_vault: {name!r:.80} can't name a secret: a letter, then letters, digits, `_`, `-` and `.`")
        found[name] = _take(source, name)
    if redact:
        from headway.extras import require

        require("open_vault(redact=True)", "detect_secrets")
    return Vault(found, redacts=redact)


def _take(source: Source, name: str) -> str:
    """One secret. Its value is in no message."""
    secret: Any
    if callable(source):
        secret = source(name)
    else:
        held: Mapping[str, str] = os.environ if source is None else source
        if name not in held:
            where = "the environment has" if source is None else "the mapping has"
            raise UsageError(f"open_vault: {where} no {name}")
        secret = held[name]
    if not isinstance(secret, str):
        raise UsageError(f"open_vault: the secret {name} is a {type(secret).__name__}: a text")
    if len(secret.strip()) < FEWEST:
        raise UsageError(f"open_vault: the secret {name} has fewer than {FEWEST} characters: it would be found everywhere")
    return secret
