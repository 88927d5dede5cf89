"""A planner of the errands of `examples/agent.py` that asks for what they want: it knows them beforehand, as a test may."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import headway as hw
from assistant.errands import ERRANDS
from headway import models

WANTED: dict[str, list[dict[str, Any]]] = {
    "read_file": [{"name": "notes.txt"}],
    "send_letter": [{"to": "ada@example.org", "text": "the harvest is in"}],
    "write_file": [{"name": "todo.txt", "text": "buy milk"}],
    "run_command": [{"command": "wc -l notes.txt"}],
    "calculate": [{"expression": "17 * 23"}],
    "country_facts": [{"country": "Italy"}, {"country": "Peru"}, {"country": "Chile"}, {"country": "Chad"}],
    "bordering_countries": [{"country": "Switzerland"}],
    "largest_cities": [{"country": "Japan", "count": 4}],
    "distance_km": [{"start": "Paris", "end": "Rome"}, {"start": "N'Djamena", "end": "Cairo"}],
    "time_zone": [{"city": "Lima"}],
    "list_files": [{}],
}


class Planner:
    """Asks for all calls of an errand at once, and once more for those that failed."""

    name, price = "planner", models.Price(0.1, 0.4)
    abilities = frozenset({"tools"})

    async def stream(self, request: models.Request) -> AsyncGenerator[models.Piece, None]:
        prompt = [message for message in request.prompt if isinstance(message, models.Message)]
        errand = next(each for each in ERRANDS if any(message.text == each.task for message in prompt))
        worked = {message.name for message in prompt if message.role == "tool" and "ask again" not in message.text}
        wanted = [(tool, words) for tool, words in errand.wanted if tool not in worked]
        await hw.sleep(0.05)
        if not wanted:
            yield models.Piece("Done.", finish="stop", tokens=2)
            return
        calls = [(tool, next(each for each in WANTED[tool] if fits(each, words))) for tool, words in wanted]
        for place, (tool, arguments) in enumerate(calls):
            asked = models.CallPiece(place, f"{tool}-{place}-{len(prompt)}", tool, json.dumps(arguments))
            yield models.Piece(calls=(asked,), tokens=10)
        yield models.Piece(finish="tool")


def fits(arguments: dict[str, Any], words: tuple[str, ...]) -> bool:
    return all(word in json.dumps(arguments) for word in words)


PLANNER = Planner()
