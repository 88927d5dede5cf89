"""A memory: what is put in is found, replaced, forgotten, and told apart by whose it is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import headway as hw
from headway.methods.memory import Case, CaseChanged, Memory, Recalled, UnknownCase

memory = Memory("team")
INVOICES = Case("The invoice API wants dates as YYYYMMDD", {"retry": False}, outcome="failure")
HOME = Case("Ada lives in Turin", kind="profile", namespace="ada", id="home")


@pytest.fixture
def ask(go):
    """Run a coroutine function as a program of one run."""

    def start(function: Any, *args: Any, **options: Any) -> Any:
        @hw.task(name="ask")
        async def program() -> Any:
            return await function(*args)

        return go(program, **options)

    return start


def texts(found: Any) -> list[str]:
    return [hit.case.text for hit in found]


def test_what_is_put_in_is_found_by_another_run_with_its_score_and_the_version_that_was_seen(ask):
    async def put() -> list[str]:
        return [await memory.put(INVOICES), await memory.put(HOME)]

    async def search() -> Recalled:
        return await memory.search("which dates do invoices want?", k=3)

    assert ask(put, run_id="first") == ["#0", "home"]
    found = ask(search, run_id="second")
    assert (found.version, found.query, len(found)) == (2, "which dates do invoices want?", 1)
    assert (found[0].case, found[0].id, found[0].number, found[0].run) == (INVOICES, "#0", 0, "first")
    assert found[0].score > 0


def test_a_search_is_recorded_and_says_the_same_after_a_resume_whatever_came_in_between(ask):
    stop = [True]

    async def program() -> tuple[list[str], int, list[str]]:
        first = await memory.search("Turin")
        if stop:
            raise RuntimeError("stop here")
        return texts(first), first.version, texts(await memory.search("Turin"))

    ask(memory.put, HOME, run_id="before")
    with pytest.raises(RuntimeError):
        ask(program)
    ask(memory.put, Case("Turin has trams"), run_id="between")
    stop.clear()
    before, version, now = ask(program)
    assert (before, version) == ([HOME.text], 1)
    assert sorted(now) == sorted([HOME.text, "Turin has trams"])


def test_an_update_replaces_what_it_names_and_the_old_text_is_found_no_more(ask):
    async def program() -> Any:
        await memory.put(HOME)
        number = await memory.update("home", namespace="ada", text="Ada lives in Rome")
        return (
            number,
            texts(await memory.search("Turin")),
            texts(await memory.search("Rome")),
            await memory.get("home", namespace="ada"),
            await memory.history("home", namespace="ada"),
        )

    number, old, new, now, history = ask(program)
    assert (number, old, new) == (1, [], ["Ada lives in Rome"])
    assert (now.case.kind, now.case.text, now.number) == ("profile", "Ada lives in Rome", 1)
    assert [(edit.what, edit.case.text, edit.number) for edit in history] == [("put", HOME.text, 0), ("update", now.case.text, 1)]


def test_a_case_of_the_same_id_replaces_the_one_before_and_another_namespace_has_its_own(ask):
    async def program() -> Any:
        for text, whose in (("Ada lives in Turin", "ada"), ("Ada lives in Rome", "ada"), ("Eve lives in Turin", "eve")):
            await memory.put(Case(text, kind="profile", namespace=whose, id="home"))
        return texts(await memory.search("lives Turin Rome", namespace="ada")), texts(await memory.cases())

    assert ask(program) == (["Ada lives in Rome"], ["Ada lives in Rome", "Eve lives in Turin"])


def test_a_forgotten_case_is_found_no_more_its_texts_are_gone_from_the_store_and_its_id_is_free(ask, tmp_path):
    async def program() -> Any:
        await memory.put(HOME)
        await memory.update("home", namespace="ada", text="Ada lives in Rome")
        await memory.put(Case("Eve lives in Rome"))
        await memory.forget("home", namespace="ada")
        gone = texts(await memory.search("Ada Turin Rome")), texts(await memory.cases())
        history = await memory.history("home", namespace="ada")
        await memory.put(Case("Ada lives in Bari", kind="profile", namespace="ada", id="home"))
        return gone, [edit.what for edit in history], texts(await memory.search("Ada"))

    gone, history, again = ask(program)
    assert gone == (["Eve lives in Rome"], ["Eve lives in Rome"])
    assert (history, again) == (["forget"], ["Ada lives in Bari"])
    with hw.SqliteStore(tmp_path / "store") as store:
        items = store.items("memory/team")
    assert [item.is_lost for item in items] == [True, True, False, False, False]
    assert not any(b"Turin" in item.value for item in items)


def test_filters_tell_kinds_outcomes_and_trust_apart(ask):
    cases = [
        Case("red house", kind="profile"),
        Case("red car", outcome="success"),
        Case("red boat", outcome="failure"),
        Case("red note of a page", untrusted=True),
        Case("red clicks", kind="actions"),
    ]

    async def program() -> Any:
        for case in cases:
            await memory.put(case)
        return [
            texts(await memory.search("red", kind="experience")),
            texts(await memory.search("red", outcome="success")),
            texts(await memory.search("red", trusted=True)),
            texts(await memory.search("red", namespace="nobody")),
            texts(await memory.cases(kind="actions")),
            texts(await memory.cases(last=2)),
        ]

    kinds, ended, trusted, nobody, actions, last = ask(program)
    assert sorted(kinds) == ["red boat", "red car", "red note of a page"]
    assert (ended, nobody, actions, last) == (["red car"], [], ["red clicks"], ["red note of a page", "red clicks"])
    assert "red note of a page" not in trusted
    assert len(trusted) == 4


def test_what_others_have_in_their_namespaces_has_no_part_in_scores(ask):
    async def program(others: int) -> float:
        await memory.put(Case("Turin has trams", namespace="ada"))
        for number in range(others):
            await memory.put(Case(f"Turin secret {number}", namespace="eve"))
        return (await memory.search("Turin", namespace="ada"))[0].score

    assert ask(program, 0, store=hw.MemoryStore()) == ask(program, 5, store=hw.MemoryStore())


def test_of_equal_scores_the_newest_is_first(ask):
    async def program() -> list[int]:
        for _ in range(3):
            await memory.put(Case("the very same lesson"))
        return [hit.number for hit in await memory.search("lesson", k=2)]

    assert ask(program) == [2, 1]


def test_two_updates_at_once_are_one_after_the_other_and_both_are_in_the_history(ask):
    async def program() -> Any:
        await memory.put(Case("Ada lives in Turin", {"floor": 1}, id="home"))
        await hw.gather(memory.update("home", text="Ada lives in Rome"), memory.update("home", value={"floor": 2}))
        return await memory.get("home"), await memory.history("home")

    now, history = ask(program)
    assert (now.case.text, now.case.value) == ("Ada lives in Rome", {"floor": 2})
    assert [edit.number for edit in history] == [0, 1, 2]


def test_of_two_updates_made_from_the_same_hit_the_second_is_refused(ask):
    async def program() -> Any:
        await memory.put(Case("Ada lives in Turin", id="home"))
        settled = await hw.settle(*(memory.update("home", text=f"Ada lives in {city}", expects=0) for city in ("Rome", "Bari")))
        return [type(each.error).__name__ for each in settled], (await memory.get("home")).case.text, await memory.history("home")

    errors, text, history = ask(program)
    assert sorted(errors) == ["CaseChanged", "NoneType"]
    assert text == ("Ada lives in Rome" if errors[0] == "NoneType" else "Ada lives in Bari")
    assert len(history) == 2


def test_large_values_are_kept_and_erased(ask, tmp_path):
    async def program() -> Any:
        await memory.put(Case("a long page", "x" * 200_000, id="page"))
        found = await memory.search("page")
        await memory.forget("page")
        return len(found[0].case.value)

    assert ask(program) == 200_000
    with hw.SqliteStore(tmp_path / "store") as store:
        assert not any(item.blobs for item in store.items("memory/team"))


def vector_of(text: str) -> list[float]:
    """Of what it speaks: water, fire, or neither."""
    return [float("sea" in text or "rain" in text), float("sun" in text or "stove" in text), 0.1]


@hw.task
async def embed(given: list[str]) -> list[list[float]]:
    return [vector_of(text) for text in given]


def test_an_embedder_finds_by_meaning_and_embeds_each_text_once(ask):
    pytest.importorskip("numpy")
    seas = Memory("seas", embed)

    async def program() -> Any:
        for text in ("the sea is deep", "a stove is hot", "the rain is cold"):
            await seas.put(Case(text))
        await seas.update("#1", text="the sun is hot")
        await seas.update("#2", outcome="success")
        await seas.forget("#0")
        return texts(await seas.search("rain", k=1)), texts(await seas.search("stove", k=1))

    assert ask(program) == (["the rain is cold"], ["the sun is hot"])


def test_cases_without_vectors_and_vectors_of_another_length_are_told_of(ask):
    pytest.importorskip("numpy")

    async def other(given: list[str]) -> list[list[float]]:
        return [[1.0, 2.0] for _ in given]

    async def program() -> Any:
        await memory.put(Case("without a vector"))
        await Memory("seas", embed).put(Case("the sea"))
        settled = await hw.settle(Memory("team", embed).search("sea"), Memory("seas", other).search("sea"))
        return [str(each.error) for each in settled]

    without, length = ask(program)
    assert "1 of 1 cases have no vector of this embedder" in without
    assert "gave 2 numbers for a query and 3 for cases" in length


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Case(" "), "a case is found by its text"),
        (lambda: Case(7), "a case is found by its text"),  # type: ignore[arg-type]
        (lambda: Case("a", kind="dream"), "kind='dream': one of 'profile', 'experience', 'actions'"),  # type: ignore[arg-type]
        (lambda: Case("a", outcome="so so"), "outcome='so so'"),  # type: ignore[arg-type]
        (lambda: Case("a", namespace="a\n"), "namespace="),
        (lambda: Case("a", id="#4"), "ids that begin with # are made by the memory"),
        (lambda: Case("a", untrusted="no"), "untrusted='no'"),  # type: ignore[arg-type]
        (lambda: Memory(""), "a name of printable characters"),
        (lambda: Memory("a", as_of=-1), "as_of=-1"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is_made(make, said):
    with pytest.raises(hw.UsageError, match=said):
        make()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: memory.search(" "), "query=' ': what is searched for"),
        (lambda: memory.search("a", k=0), "k=0: a whole number, at least 1"),
        (lambda: memory.search("a", kind="dream"), "kind='dream'"),  # type: ignore[arg-type]
        (lambda: memory.search("a", outcome="so"), "outcome='so'"),  # type: ignore[arg-type]
        (lambda: memory.search("a", trusted=1), "trusted=1"),  # type: ignore[arg-type]
        (lambda: memory.cases(last=0), "last=0"),
        (lambda: memory.put("text"), "case='text'"),  # type: ignore[arg-type]
        (lambda: memory.update("home"), "nothing is to be changed"),
        (lambda: memory.update("home", text=""), "a case is found by its text"),
        (lambda: memory.update("home", outcome="so"), "outcome='so'"),  # type: ignore[arg-type]
        (lambda: memory.update("home", text="a", expects=-1), "expects=-1"),
        (lambda: memory.update("home", text="a"), "there is no such case"),
        (lambda: memory.forget("home", namespace="ada"), "there is no such case of 'ada'"),
    ],
)
def test_a_bad_call_is_refused_in_a_sentence_and_writes_nothing(ask, tmp_path, wrong, said):
    async def program() -> str:
        try:
            await wrong()
        except hw.UsageError as error:
            return str(error)
        return "it was let pass"

    assert said in ask(program)
    with hw.SqliteStore(tmp_path / "store") as store:
        assert store.count_items("memory/team") == 0


def test_an_update_of_a_case_that_was_forgotten_meanwhile_is_told_so(ask):
    async def program() -> Any:
        await memory.put(HOME)
        settled = await hw.settle(memory.forget("home", namespace="ada"), memory.update("home", namespace="ada", text="Rome"))
        return [each.error for each in settled], texts(await memory.search("Rome"))

    errors, found = ask(program)
    assert found == []
    assert isinstance(errors[1], UnknownCase)


def test_a_memory_belongs_to_a_run_with_a_store(ask):
    with pytest.raises(hw.NotInRun, match="call it in a task"):
        asyncio.run(memory.search("a"))
    with pytest.raises(hw.UsageError, match="store=None"):
        ask(memory.put, HOME, store=None)


def test_errors_of_a_memory_come_back_as_they_are_from_the_journal(ask):
    async def program() -> str:
        await memory.put(Case("Ada lives in Turin", id="home"))
        await memory.update("home", text="Ada lives in Rome")
        await memory.update("home", text="Ada lives in Bari", expects=0)
        return "changed"

    for _ in range(2):
        with pytest.raises(CaseChanged, match="somebody else has written it since record 0"):
            ask(program)
