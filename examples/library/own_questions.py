"""Questions in the form of FanOutQA, made of the atlas: for tests, and for those who can't fetch FanOutQA.

    python examples/library/own_questions.py 6 > questions.json      # examples/research.py --data questions.json

Each asks for a fact of all countries that border one. Every third has a plan of three levels: the neighbours, the capital of each,
and the inhabitants of each capital.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from assistant.atlas import ask

_COUNTRIES = """
    SELECT country.name, country.population, capital.name AS capital, capital.population AS inhabitants
    FROM country JOIN capital ON country_id = country.id AND is_primary WHERE country.population AND capital.population
    GROUP BY country.id ORDER BY country.name
"""
_BORDERS = """
    SELECT a.name AS one, b.name AS other FROM country_border
    JOIN country AS a ON a.id = country1_id JOIN country AS b ON b.id = country2_id ORDER BY a.name, b.name
"""


def make_questions(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Make questions, with answers and plans."""
    known = {row["name"]: row for row in ask(_COUNTRIES)}
    near: dict[str, list[str]] = {}
    for row in ask(_BORDERS):
        for one, other in ((row["one"], row["other"]), (row["other"], row["one"])):
            if one in known and other in known:
                near.setdefault(one, []).append(other)
    chosen = random.Random(seed).sample(sorted(name for name, of in near.items() if 2 <= len(of) <= 4), count)
    return [_make(number, name, sorted(near[name]), known, deep=number % 3 == 2) for number, name in enumerate(chosen)]


def _make(number: int, name: str, near: list[str], known: dict[str, Any], *, deep: bool) -> dict[str, Any]:
    first = _part(f"{number}-near", f"Which countries border {name}?", near, [], name)
    rest: list[dict[str, Any]] = []
    answer: dict[str, Any] = {}
    for place, other in enumerate(near):
        id, capital = f"{number}-{place}", known[other]["capital"]
        asked = f"What is the capital of {other}, which borders {name}?"
        if not deep:
            rest.append(_part(id, asked, capital, [first["id"]], other))
            answer[other] = capital
            continue
        lives = f"How many people live in {capital}, the capital of {other}, which borders {name}?"
        parts = [
            _part(f"{id}-capital", asked, capital, [], other),
            _part(f"{id}-lives", lives, known[other]["inhabitants"], [f"{id}-capital"], f"{capital} ({other})"),
        ]
        rest.append({**_part(id, lives, known[other]["inhabitants"], [first["id"]], ""), "decomposition": parts})
        answer[capital] = known[other]["inhabitants"]
    what = "How many people live in the capital" if deep else "What is the capital"
    question = f"{what} of each country that borders {name}?"
    return {"id": str(number), "question": question, "answer": answer, "decomposition": [first, *rest]}


def _part(id: str, question: str, answer: Any, needs: list[str], title: str) -> dict[str, Any]:
    evidence = {"title": title} if title else None
    return {"id": id, "question": question, "answer": answer, "depends_on": needs, "evidence": evidence, "decomposition": []}


if __name__ == "__main__":
    print(json.dumps(make_questions(int(sys.argv[1])), ensure_ascii=False, indent=1))
