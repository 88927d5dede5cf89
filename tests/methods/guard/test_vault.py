"""A secret is inside of the executing call of the tool that was allowed it, and nowhere else."""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from leaky import CANARY, Refused, Session, all_forms, grep, sign_in_elsewhere

import headway as hw
from headway import models, tools
from headway.methods.guard import ToolFailed, Vault, open_vault
from headway.methods.guard.forms import Cleaner, forms_of

seen: list[str] = []


@tools.tool(effect=True)
async def sign_in(user: str, password: str) -> Session:
    """Sign in.

    Args:
        user: who.
        password: the password.
    """
    seen.append(password)
    logging.getLogger("leaky").warning("signing in with %s", password, extra={"password": password})
    hw.progress(1, 2)
    if user == "eve":
        raise Refused(f"no {user} with {password}", password)
    return Session(user, {each: each for each in all_forms(password)})


@tools.tool
def echo(text: str) -> str:
    """Say a text again."""
    seen.append(text)
    return text


def ask(name: str, **arguments: Any) -> models.ToolCall:
    return models.ToolCall(f"id-{len(arguments)}", name, json.dumps(arguments))


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """All that was logged, with tracebacks and extra fields."""
    seen.clear()
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record) + repr({**vars(record), "exc_info": None}))

    handler = Lines()
    logging.getLogger().addHandler(handler)
    yield lines
    logging.getLogger().removeHandler(handler)


def guarded(vault: Vault) -> list[tools.Tool]:
    offered = [sign_in, echo, tools.tool(sign_in_elsewhere, name="elsewhere")]
    return vault.guard(offered, allow={"sign_in": ["password"], "elsewhere": {"password": ["PORTAL"]}})


def is_clean(value: object) -> bool:
    return "c4n4ry" not in repr(value) and "YzRuNHJ5" not in repr(value) and CANARY.encode().hex()[:12] not in repr(value)


def run_and_look(go: Callable[..., Any], calls: list[models.ToolCall], folder: Path, logged: list[str]) -> list[Any]:
    """The results of calls in a run whose store, events, logs and views hold no secret."""
    said: list[Any] = []

    @hw.task(name="program")
    async def program() -> list[tuple[Any, bool]]:
        results = await tools.run_calls(guarded(open_vault({"PORTAL": CANARY})), calls)
        return [(result.content, result.is_error) for result in results]

    events: list[Any] = []
    found = go(program, events=events.append)
    said += [found, events, hw.view("run", store=folder / "store"), logged]
    assert is_clean(said)
    assert grep(CANARY, folder) == []
    assert all(is_error for _, is_error in found) or grep("«secret:PORTAL»", folder) != []  # the store can be searched
    return list(found)


@pytest.mark.parametrize("tool", ["sign_in", "elsewhere"])
def test_a_tool_is_given_the_secret_and_nothing_that_is_kept_shows_it(
    go: Callable[..., Any], tmp_path: Path, logged: list[str], tool: str
) -> None:
    ((content, is_error),) = run_and_look(go, [ask(tool, user="ada", password="«secret:PORTAL»")], tmp_path, logged)
    assert not is_error
    assert content.count("«secret:PORTAL»") >= len(all_forms(CANARY))
    assert any("signing in with «secret:PORTAL»" in line for line in logged)
    assert seen == ([CANARY] if tool == "sign_in" else [])  # the other one checks it itself, in its process


@pytest.mark.parametrize("tool", ["sign_in", "elsewhere"])
def test_an_error_with_the_secret_in_all_its_places_is_cleaned(
    go: Callable[..., Any], tmp_path: Path, logged: list[str], tool: str
) -> None:
    ((content, is_error),) = run_and_look(go, [ask(tool, user="eve", password="«secret:PORTAL»")], tmp_path, logged)
    assert is_error
    assert "no eve with «secret:PORTAL»" in content


def test_a_secret_stays_hidden_through_retries(go: Callable[..., Any], tmp_path: Path, logged: list[str]) -> None:
    tried: list[str] = []

    @tools.tool
    @hw.task(name="shaky", retry=hw.Retry(attempts=3, delay_s=1.0))
    async def shaky(password: str) -> str:
        """Fails twice."""
        tried.append(password)
        if len(tried) < 3:
            raise ConnectionError(f"lost while sending {password}")
        return password

    @hw.task(name="program")
    async def program() -> str:
        offered = open_vault({"PORTAL": CANARY}).guard([shaky], allow={"shaky": ["password"]})
        (result,) = await tools.run_calls(offered, [ask("shaky", password="«secret:PORTAL»")])
        return str(result.content)

    events: list[Any] = []
    assert go(program, events=events.append) == "«secret:PORTAL»"
    assert tried == [CANARY] * 3
    assert is_clean([events, logged, hw.view("run", store=tmp_path / "store")])
    assert grep(CANARY, tmp_path) == []


class DyingStore(hw.SqliteStore):
    """A store whose disk fails for good at one of its commits."""

    dies_at, commits = 0, 0

    def commit(self, *args: Any, **kwargs: Any) -> None:
        type(self).commits += 1
        if self.commits > self.dies_at:
            raise hw.StoreFull(28, "the disk is full")
        super().commit(*args, **kwargs)


def test_a_run_that_dies_at_any_record_leaves_no_secret_and_goes_on(
    go: Callable[..., Any], tmp_path: Path, logged: list[str]
) -> None:
    @hw.task(name="program")
    async def program() -> list[bool]:
        offered = guarded(open_vault({"PORTAL": CANARY}))
        first = await tools.run_calls(offered, [ask("sign_in", user="ada", password="«secret:PORTAL»"), ask("echo", text="hi")])
        then = await tools.run_calls(offered, [ask("sign_in", user="eve", password="«secret:PORTAL»")])
        return [result.is_error for result in [*first, *then]]

    died, at = 0, 0
    while True:
        store = tmp_path / f"store-{at}"
        DyingStore.dies_at, DyingStore.commits = at, 0
        dying = DyingStore(store)
        try:
            assert go(program, store=dying) == [False, False, True]
            break
        except hw.StoreError:
            died += 1
        finally:
            dying.close()
        assert grep(CANARY, store) == []
        assert go(program, store=store) == [False, False, True]
        assert grep(CANARY, store) == []
        at += 1
    assert died >= 2  # how many rows a commit holds depends on the moment
    assert is_clean(logged)


def test_a_secret_is_refused_where_it_was_not_allowed(go: Callable[..., Any], tmp_path: Path, logged: list[str]) -> None:
    calls = [
        ask("echo", text="my password is «secret:PORTAL»"),
        models.ToolCall("b", "sign_in", '{"user": "«secret:PORTAL»", "password": "x"}'),
        models.ToolCall("c", "sign_in", '{"user": "ada", "password": "«secret:OTHER»"}'),
        models.ToolCall("d", "echo", json.dumps({"text": f"I know it: {CANARY}"})),
    ]
    said = run_and_look(go, calls, tmp_path, logged)
    assert all(is_error for _, is_error in said)
    assert [content.partition(". ")[0] for content, _ in said[:2]] == [
        "echo: text can't be given the secret PORTAL",
        "sign_in: user can't be given the secret PORTAL",
    ]
    assert "There is no secret OTHER" in said[2][0]
    assert seen == []


def test_a_tool_that_was_given_a_secret_can_make_no_call_that_would_record_it(go: Callable[..., Any], tmp_path: Path) -> None:
    @hw.task(name="inner")
    async def inner(password: str) -> str:
        return password

    @tools.tool
    async def outer(password: str) -> str:
        """Hands its password on."""
        return await inner(password)

    @hw.task(name="program")
    async def program() -> str:
        offered = open_vault({"PORTAL": CANARY}).guard([outer], allow={"outer": ["password"]})
        (result,) = await tools.run_calls(offered, [ask("outer", password="«secret:PORTAL»")])
        return str(result.content)

    assert "was given secrets and can't call inner" in go(program)
    assert grep(CANARY, tmp_path) == []


def test_what_a_model_is_asked_and_says_is_cleaned_also_where_a_piece_ends_inside_of_the_secret(
    go: Callable[..., Any], tmp_path: Path, logged: list[str]
) -> None:
    asked: list[models.Request] = []

    class Echo:
        name, abilities = "echo", frozenset({"tools"})

        async def stream(self, request: models.Request) -> AsyncGenerator[models.Piece, None]:
            asked.append(request)
            for letter in CANARY:
                yield models.Piece(letter, tokens=1)
            for at, part in enumerate(json.dumps({"password": CANARY})):
                yield models.Piece(calls=(models.CallPiece(0, "a" * (not at), "sign_in" * (not at), part),))
            yield models.Piece(finish="tool")

    @hw.task(name="program")
    async def program() -> Any:
        model = open_vault({"PORTAL": CANARY}).guard_model(models.limit_model(Echo(), 2))
        prompt = [models.Message("user", f"log in with {CANARY}")]
        (said,) = (await models.sample(model, prompt, tools=[sign_in])).samples
        pieces = [piece.text async for piece in models.stream(model, prompt, tools=[sign_in], seed=1)]
        return said.text, said.calls[0].arguments, "".join(pieces)

    events: list[Any] = []
    said = go(program, events=events.append)
    assert said == ("«secret:PORTAL»", '{"password": "«secret:PORTAL»"}', "«secret:PORTAL»")
    assert is_clean([asked, events, logged, hw.view("run", store=tmp_path / "store")])
    assert grep(CANARY, tmp_path) == []


@given(st.text(min_size=6, max_size=40).filter(lambda text: len(text.strip()) >= 6), st.text(max_size=20), st.text(max_size=20))
def test_each_form_is_found_wherever_it_stands(secret: str, before: str, after: str) -> None:
    try:
        secret.encode()
    except UnicodeEncodeError:
        return
    cleaner = Cleaner({"S": secret})
    for form in forms_of(secret):
        text = cleaner.text(f"{before}{form}{after}")
        assert "«secret:S»" in text


def test_a_vault_shows_nothing_and_is_known_by_its_names(go: Callable[..., Any]) -> None:
    vault = open_vault({"PORTAL": CANARY, "CRM": "another one"})
    assert dict(vault) == {"PORTAL": "«secret:PORTAL»", "CRM": "«secret:CRM»"}
    assert is_clean([repr(vault), str(vault)])
    assert vault.__headway_key__() == ("vault", "CRM", "PORTAL")
    with pytest.raises(hw.UsageError, match="can't be pickled"):
        pickle.dumps(vault)
    with pytest.raises(KeyError, match="did you mean 'PORTAL'"):
        vault["PORTL"]

    @hw.task(name="program")
    async def program() -> Vault:
        return vault

    with pytest.raises(hw.NotEncodable):
        go(program)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: open_vault(names=["HEADWAY_NO_SUCH"]), "the environment has no HEADWAY_NO_SUCH"),
        (lambda: open_vault({"PIN": "4711"}), "the secret PIN has fewer than 6 characters"),
        (lambda: open_vault({"a b": "long enough"}), "can't name a secret"),
        (lambda: open_vault({"KEY": b"long enough"}), "the secret KEY is a bytes"),  # type: ignore[dict-item]  # that is the point
        (lambda: open_vault(), "say which secrets"),
        (lambda: open_vault({"K": CANARY}).guard([echo], allow={"ecko": ["text"]}), "did you mean 'echo'"),
        (lambda: open_vault({"K": CANARY}).guard([echo], allow={"echo": ["txt"]}), "echo takes no 'txt'; did you mean 'text'"),
        (lambda: open_vault({"K": CANARY}).guard([echo], allow={"echo": "text"}), "a list of parameters"),
        (lambda: open_vault({"K": CANARY}).guard([echo], allow={"echo": {"text": ["L"]}}), "there is no secret 'L'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_done(make: Callable[[], object], said: str) -> None:
    with pytest.raises(hw.UsageError, match=said) as refused:
        make()
    assert is_clean(str(refused.value))


def test_a_result_that_hides_a_secret_where_nobody_can_look_is_not_kept(go: Callable[..., Any], tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")

    @tools.tool
    async def pack(password: str) -> Any:
        """Puts the password into an array."""
        return np.array([password, "other"])

    @hw.task(name="program")
    async def program() -> str:
        offered = open_vault({"PORTAL": CANARY}).guard([pack], allow={"pack": ["password"]})
        (result,) = await tools.run_calls(offered, [ask("pack", password="«secret:PORTAL»")])
        return str(result.content)

    assert "with a secret inside of it, which can't be cleaned and is not kept" in go(program)
    assert grep(CANARY, tmp_path) == []


def test_an_error_that_cannot_be_cleaned_is_told_in_words(go: Callable[..., Any]) -> None:
    class Stubborn(Exception):
        def __init__(self, secret: str) -> None:
            super().__init__("no")
            self.__dict__["hidden"] = lambda: secret

        def __str__(self) -> str:
            return f"said {self.hidden()}"

    @tools.tool
    async def fail(password: str) -> str:
        """Fails."""
        raise Stubborn(password)

    @hw.task(name="program")
    async def program() -> str:
        (offered,) = open_vault({"PORTAL": CANARY}).guard([fail], allow={"fail": ["password"]})
        try:
            await offered.start(ask("fail", password="«secret:PORTAL»"))
        except ToolFailed as error:
            return str(error)
        return ""

    assert go(program) == "Stubborn: said «secret:PORTAL»"


def test_a_tool_of_an_mcp_server_gets_the_secret_and_what_it_says_is_cleaned(tmp_path: Path, logged: list[str]) -> None:
    pytest.importorskip("mcp")
    from mcp.server import MCPServer

    server = MCPServer("portal")

    @server.tool()
    def sign_in_there(user: str, password: str) -> str:
        """Sign in."""
        seen.append(password)
        if user == "eve":
            raise ValueError(f"no {user} with {password}")
        return "\n".join(all_forms(password))

    @hw.task(name="program")
    async def program() -> list[tuple[Any, bool]]:
        offered = await tools.list_mcp_tools(tools.McpServer(name="portal", target=server))
        offered = open_vault({"PORTAL": CANARY}).guard(offered, allow={"sign_in_there": ["password"]})
        calls = [ask("sign_in_there", user=user, password="«secret:PORTAL»") for user in ("ada", "eve")]
        results = [(await tools.run_calls(offered, [call]))[0] for call in calls]
        return [(result.content, result.is_error) for result in results]

    events: list[Any] = []
    found = hw.run(program, store=tmp_path / "store", run_id="run", events=events.append)
    assert [is_error for _, is_error in found] == [False, True]
    assert seen == [CANARY] * 2
    assert found[0][0].count("«secret:PORTAL»") >= len(all_forms(CANARY))
    assert is_clean([found, events, logged, hw.view("run", store=tmp_path / "store")])
    assert grep(CANARY, tmp_path) == []
