"""One question to the library, asked again where the line broke; the calls of its server are calls of the run."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import headway as hw
from headway import tools
from headway.errors import HeadwayError
from headway.tools.mcp.answers import McpAnswer

TRIES = 4
SEARCH_PRICE, TOKEN_PRICE = (
    0.005,
    0.10 / 1_000_000,
)  # US dollars: of a search, as search engines charge, and of a small model's token


class NoAnswer(HeadwayError):
    """The library did not answer, however often it was asked, or said that there is nothing."""


@dataclass(frozen=True)
class Heard:
    """What the library answered.

    Attributes:
        value: a text, or a list of titles.
        tries: how often it was asked.
        tokens: of question and answer, as a model would read them; about four letters each.
    """

    value: Any
    tries: int
    tokens: int

    @property
    def text(self) -> str:
        """The answer in words."""
        return self.value if isinstance(self.value, str) else ", ".join(map(str, self.value))


def open_library(folder: Path, name: str = "library", **settings: object) -> tools.McpServer:
    """A library of its own, in a process that is started when it is asked.

    Args:
        folder: where it writes down what it is asked.
        name: what it is called in the journal.
        settings: its environment, without LIBRARY_: `latency_s=0.3`.
    """
    paths = os.pathsep.join([str(Path(hw.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {f"LIBRARY_{key.upper()}": str(value) for key, value in settings.items()}
    command = [sys.executable, str(Path(__file__).parent / "server.py"), str(folder / name)]
    return tools.McpServer(name=name, command=command, env={"PYTHONPATH": paths, **environment}, read_only="declared", timeout=60)


async def ask(tool: tools.Tool, **arguments: str) -> Heard:
    """Ask until there is an answer.

    Raises:
        NoAnswer: it says that there is nothing, or fails each time.
    """
    said = ""
    for tries in range(1, TRIES + 1):
        answer: McpAnswer = await tool.start_with(dict(arguments))
        if not answer.is_error:
            value = answer.structured.get("result", answer.structured)
            return Heard(value, tries, count_tokens(f"{json.dumps(arguments)} {json.dumps(value)}"))
        said = answer.text
        if "ask again" not in said:
            break
    raise NoAnswer(f"{tool.name} {json.dumps(arguments, ensure_ascii=False)[:120]}: {said}")


def count_tokens(text: str) -> int:
    """About how many tokens a text has: a quarter of its letters."""
    return -(-len(text) // 4)


@hw.task
async def file_once(library: tools.McpServer, question: str, answer: str) -> bool:
    """File a report, and never a second one. Whoever does not know whether a report came through looks before filing it again.

    Returns:
        Whether it is filed.
    """
    file_report, is_filed = await tools.list_mcp_tools(library, only=["file_report", "is_filed"])
    for _ in range(TRIES):
        filed: McpAnswer = await file_report.start_with({"question": question, "answer": answer})
        if not filed.is_error or (await ask(is_filed, question=question)).value:
            return True
    return False
