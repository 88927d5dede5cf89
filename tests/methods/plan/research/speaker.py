"""A model that follows a script, for `headway serve`: what it says depends on the schema and on what it was told."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

from headway import models

AREAS = {"Italy": 301336, "Malta": 316, "Fiji": 18272}


class Speaker:
    """Decides on three countries, leaves the last of several out at first, and researches Malta."""

    name = "speaker"
    abilities = frozenset({"schema", "tools"})
    price = models.FREE

    async def stream(self, request: models.Request) -> AsyncGenerator[models.Piece, None]:
        told = "\n".join(message.text for message in request.prompt if isinstance(message, models.Message))
        answers = [message.text for message in request.prompt if isinstance(message, models.Message) and message.role == "tool"]
        if request.tools and not answers:
            query = told.partition("\n\n")[2].partition("\n")[0]
            call = models.CallPiece(0, "call-1", "look_up", json.dumps({"query": query}))
            yield models.Piece(calls=(call,), finish="tool", tokens=5)
            return
        said = self._say(request.schema.name if request.schema is not None else "", told, answers)
        yield models.Piece(said if isinstance(said, str) else json.dumps(said), finish="stop", tokens=20)

    def _say(self, form: str, told: str, answers: list[str]) -> Any:
        if form == "Decided":
            fields = [{"name": "country", "kind": "string", "slot": 0}, {"name": "area", "kind": "integer", "slot": None}]
            atoms = 2 if "senseless" in told else 1
            rows = [[name, "x"][:atoms] if at else [name] for at, name in enumerate(AREAS)]
            chunk = 3 if "Experience says:\n- together" in told else 1
            return {"rows": rows, "template": "Area of __0__?", "fields": fields, "strategy": "open", "chunk": chunk, "attr": 0}
        if form == "records":
            asked = [name for name in AREAS if f"Area of {name}?" in told]
            kept = asked[:-1] if len(asked) > 1 and "Before, only these" not in told else asked
            return {"records": [{"country": name, "area": AREAS[name]} for name in kept]}
        if form == "Sections":
            return {"sections": ["size", "people", "size"]}
        if form == "Rubric":
            return {"criteria": [{"asks": "it names the area", "section": "size"}]}
        if form == "Lacking":
            rubric = "it names the area" in told
            lacking = (
                [] if "316" in told else [self._gap("its area", "size", ["area of Malta"]), self._gap("who", "people", [], [0, 7])]
            )
            return {"gaps": lacking if rubric else [self._gap("the rubric", "", [])]}
        if form == "Found":
            return {"findings": [{"text": answer, "source": "atlas"} for answer in answers]}
        if answers:
            return answers[0]
        return f"Report. {told.count('316')}, open: {told.rpartition('Open: ')[2]}"

    def _gap(self, lacks: str, section: str, queries: list[str], builds_on: list[int] | None = None) -> dict[str, Any]:
        return {"lacks": lacks, "section": section, "queries": queries, "deep": False, "builds_on": builds_on or []}


speaker = Speaker()
