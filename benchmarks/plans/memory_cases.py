"""Collections of cases: what a search finds, what it costs at 100,000 cases, and what tests hold of them.

Experience is searched for in other words than it was written in: a case is the name and the first line of a documented function of
the standard library, numpy, pandas or torch, and it is asked for by another sentence of its documentation (see
`benchmarks.agents.functions`). Large memories are drawn: texts of 12 words, of a vocabulary of 20,000 whose frequencies follow
Zipf's law. Times are those of the processor, of all threads.
"""

from __future__ import annotations

import random
import time
from typing import Any

import headway as hw
from benchmarks.agents.functions import make_split
from benchmarks.methods.row import Held, Pair, Row
from headway.journal.codec.codec import encode
from headway.journal.shared.items import Item
from headway.methods.memory import Case, Memory
from headway.methods.memory.book import Record
from headway.tools.finding.bm25 import Bm25, split_words
from headway.tools.finding.toolbox import document_of

memory = Memory("bench")
K = 3
SIZE, SMALL, VOCABULARY, LENGTH, ROUNDS = 100_000, 1_000, 20_000, 12, 30


# --- what a search finds ---------------------------------------------------------------------------------------------


@hw.task
async def hits_of(cases: list[tuple[str, str]], asked: list[tuple[str, str]]) -> float:
    """The share of requests whose case is among the first three."""
    for name, text in cases:
        await memory.put(Case(text, id=name))
    found = [[hit.id for hit in await memory.search(request, K)] for request, _ in asked]
    return sum(name in ids for ids, (_, name) in zip(found, asked, strict=True)) / len(asked)


def measure_hits(seed: int) -> Pair:
    """Hits at 3: a search, and the newest three; 1,000 cases, 200 requests."""
    split = make_split(seed)
    cases = [(tool.name, document_of(tool.spec)) for tool in split.offered]
    random.Random(seed).shuffle(cases)
    asked = split.requests[:200]
    newest = {name for name, _ in cases[-K:]}
    ours = hw.run(hits_of, cases, asked, store=hw.MemoryStore(), run_id="hits", progress=False)
    return Pair(ours, sum(name in newest for _, name in asked) / len(asked))


# --- what it costs ---------------------------------------------------------------------------------------------------


def draw_texts(seed: int, size: int) -> list[str]:
    """Texts of words whose frequencies follow Zipf's law."""
    rng = random.Random(f"texts {seed}")
    words = [f"w{number}" for number in range(VOCABULARY)]
    weights = [1 / (number + 10) for number in range(VOCABULARY)]
    drawn = rng.choices(words, weights, k=size * LENGTH)
    return [" ".join(drawn[at : at + LENGTH]) for at in range(0, len(drawn), LENGTH)]


def fill(texts: list[str]) -> hw.MemoryStore:
    """A store whose memory has these cases: as items, for a hundred thousand calls are not what is measured."""
    store = hw.MemoryStore()
    items = []
    for number, text in enumerate(texts):
        head, _ = encode(Record("put", "", "", Case(text)), where="a case")
        items.append(Item(number.to_bytes(16, "big"), head, (), "fill", b"", 0.0))
    store.append_items(memory.collection, items)
    return store


@hw.task
async def put_and_search(texts: list[str]) -> tuple[float, float]:
    """Seconds of CPU of a put, and of a search after it: medians. The first search, which reads all that is there, is left out."""
    await memory.search("w1")
    puts, searches = [], []
    for text in texts:
        begun = time.process_time()
        await memory.put(Case(text))
        put = time.process_time()
        await memory.search(text)
        puts.append(put - begun)
        searches.append(time.process_time() - put)
    return sorted(puts)[len(puts) // 2], sorted(searches)[len(searches) // 2]


def measure_costs(seed: int, size: int) -> tuple[float, float]:
    texts = draw_texts(seed, size + ROUNDS)
    return hw.run(put_and_search, texts[size:], store=fill(texts[:size]), run_id="costs", progress=False)


def measure_search(seed: int) -> Pair:
    """Milliseconds of CPU of a search after a put at 100,000 cases: ours, and one that indexes all of them anew."""
    texts = draw_texts(seed, SIZE)
    begun = time.process_time()
    index = Bm25([split_words(text) for text in texts])
    scores = index.scores(split_words(texts[0]))
    sorted(range(SIZE), key=lambda place: -scores[place])[:5]
    anew = time.process_time() - begun
    return Pair(1e3 * measure_costs(seed, SIZE)[1], 1e3 * anew)


def measure_put(seed: int) -> Pair:
    """Milliseconds of CPU of a put at 100,000 cases and at 1,000."""
    return Pair(1e3 * measure_costs(seed, SIZE)[0], 1e3 * measure_costs(seed, SMALL)[0])


_MEMORY, _AS_OF, _SURVIVES, _TOOLS = (
    f"tests/methods/memory/test_memory{name}.py" for name in ("", "_as_of", "_survives", "_tools")
)
_COMMON: dict[str, Any] = {"method": "Cases", "function": "headway.methods.memory.Memory", "item": "memory"}

ROWS: list[Row | Held] = [
    Row(
        **_COMMON,
        claim="templates of earlier tasks are retrieved by what they say",
        shows="experience is found by sentences that it does not have, at least 15 points more often than by recency",
        baseline="the three newest cases, which are as good as three at random",
        unit="hits at 3, 1,000 cases, 200 held-out sentences",
        compare="difference",
        measure=measure_hits,
        reached=lambda low, high: low >= 0.15,
        test=f"{_MEMORY}::test_what_is_put_in_is_found_by_another_run_with_its_score_and_the_version_that_was_seen",
    ),
    Row(
        **_COMMON,
        claim="",
        shows="a search after a put among 100,000 cases takes at most a twentieth of an index made anew",
        baseline="BM25 of all cases, made anew for each search",
        unit="ms of CPU, median of 30 searches for 12 words",
        measure=measure_search,
        reached=lambda low, high: high <= 0.05,
        seeds=3,
        test=f"{_AS_OF}::test_a_search_reads_only_what_is_new",
    ),
    Row(
        **_COMMON,
        claim="",
        shows="a put among 100,000 cases takes at most twice as long as among 1,000",
        baseline="the same among 1,000 cases",
        unit="ms of CPU, median of 30",
        measure=measure_put,
        reached=lambda low, high: high <= 2,
        reason="two seeds of three took more than twice as long; it stays below a millisecond",
        seeds=3,
        test=f"{_AS_OF}::test_a_search_reads_only_what_is_new",
    ),
    Held(
        item="memory",
        promise="Cases: each is written once, wherever a run is killed, also by SIGKILL of processes that fill one memory",
        tests=(
            f"{_SURVIVES}::test_a_run_that_is_killed_at_any_record_writes_each_record_once",
            f"{_SURVIVES}::test_a_run_that_is_killed_at_any_step_of_any_schedule_writes_each_record_once",
            "tests/chaos/test_rememberers.py::test_cases_of_killed_processes_are_each_there_once",
        ),
    ),
    Held(
        item="memory",
        promise="Cases: a search is recorded with its scores and the version it saw, and says the same after a resume",
        tests=(
            f"{_MEMORY}::test_a_search_is_recorded_and_says_the_same_after_a_resume_whatever_came_in_between",
            f"{_MEMORY}::test_what_is_put_in_is_found_by_another_run_with_its_score_and_the_version_that_was_seen",
        ),
    ),
    Held(
        item="memory",
        promise="Cases: a pinned memory is that of the time at which a fork begins: neither its source's future nor another's",
        tests=(
            f"{_AS_OF}::test_a_fork_sees_the_memory_of_the_time_at_which_it_begins",
            f"{_AS_OF}::test_a_fork_of_a_fork_sees_the_past_of_both",
            f"{_AS_OF}::test_a_fork_that_writes_the_same_once_more_sees_it_once_it_has_been_told_so",
            f"{_AS_OF}::test_a_pinned_memory_shows_what_was_there_and_what_its_run_writes",
        ),
    ),
    Held(
        item="memory",
        promise="Cases: what was forgotten is found no more, not even by a pinned memory, and its text is gone from the memory",
        tests=(
            f"{_MEMORY}::test_a_forgotten_case_is_found_no_more_its_texts_are_gone_from_the_store_and_its_id_is_free",
            f"{_AS_OF}::test_what_anybody_forgets_is_gone_from_a_pinned_memory_too",
        ),
    ),
    Held(
        item="memory",
        promise="Cases: scores of the growing index are those of one made anew of the cases that are there",
        tests=("tests/methods/memory/test_word_index.py::test_scores_are_those_of_a_new_index_of_what_is_there",),
    ),
    Held(
        item="memory",
        promise="Cases: two edits of one case at once take effect in one order for all, or the second is told that it came late",
        tests=(
            f"{_MEMORY}::test_two_updates_at_once_are_one_after_the_other_and_both_are_in_the_history",
            f"{_MEMORY}::test_of_two_updates_made_from_the_same_hit_the_second_is_refused",
            f"{_MEMORY}::test_an_update_of_a_case_that_was_forgotten_meanwhile_is_told_so",
        ),
    ),
    Held(
        item="memory",
        promise="Cases: an agent remembers and recalls by tools; strangers' text stays marked from one run to the next",
        tests=(
            f"{_TOOLS}::test_what_an_agent_remembers_another_run_recalls_as_data",
            f"{_TOOLS}::test_what_a_page_put_into_memory_is_kept_from_effects_in_a_later_run",
            f"{_TOOLS}::test_trusted_notes_need_an_agent_that_has_read_nothing_of_strangers",
            f"{_TOOLS}::test_no_text_of_a_case_can_end_the_block_or_leave_its_marks_out",
        ),
    ),
    Held(
        item="memory",
        promise="Cases: an empty query, k below 1, an unknown kind, a case without text: one sentence, and nothing is written",
        tests=(
            f"{_MEMORY}::test_what_makes_no_sense_is_refused_where_it_is_made",
            f"{_MEMORY}::test_a_bad_call_is_refused_in_a_sentence_and_writes_nothing",
        ),
    ),
]
