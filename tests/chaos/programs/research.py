"""A researcher that dies in one life after the other. Not a test by itself.

    python research.py STORE RESULT RAN KILLS QUESTIONS

It answers questions by their oracle plans and files a report of each, over a real server of the library, which is a process of its
own. A life is killed when a request begins, when an answer is recorded, when a report begins, or when a
report is on the disk of the server and nobody here knows.

After each death RAN has `asked N`, how many requests the server has seen, and `recorded KEY` for the idempotency key of each
request whose answer the store has.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "examples"))

from lives import die_and_rise, pass_moment, tell

import headway as hw
from headway import events
from library.asking import file_once, open_library
from library.fanout import load_questions
from library.lines import read_lines
from library.oracle import answer_by_oracle
from library.own_questions import make_questions

MOMENTS = ("a request begins", "a report is on the disk", "an answer is recorded", "a report begins")
FOLDER = Path(sys.argv[1]).with_suffix(".pages")
QUESTIONS, FILED, ASKED = FOLDER / "questions.json", FOLDER / "library" / "filed.jsonl", FOLDER / "library" / "asked.jsonl"
REPORT, REQUEST = "mcp.call_effect", "mcp.call"


@hw.task
async def main() -> list[str]:
    library = open_library(FOLDER, questions=QUESTIONS, latency_s=0.03, fails=0.2)
    answers = []
    for question in load_questions(QUESTIONS):
        found = await answer_by_oracle(library, question, "dataflow")
        await file_once(library, question.question, found.answer)
        answers.append(found.answer)
    return answers


def hear(event: events.Event) -> None:
    if isinstance(event, events.CallStarted) and event.task in (REPORT, REQUEST):
        pass_moment("a request begins" if event.task == REQUEST else "a report begins")
    elif isinstance(event, events.CallEnded) and event.task == REQUEST:
        pass_moment("an answer is recorded")


def watch_reports() -> None:
    """Pass a moment as soon as the server has a report more."""
    known = len(read_lines(FILED))
    while True:
        time.sleep(0.001)
        if (now := len(read_lines(FILED))) > known:
            known = now
            pass_moment("a report is on the disk")


def live() -> None:
    threading.Thread(target=watch_reports, daemon=True).start()
    answers = hw.run(main, store=sys.argv[1], run_id="kills", progress=False, events=hear)
    Path(sys.argv[2]).write_text(json.dumps(answers))


def recorded() -> list[str]:
    tell("asked", len(read_lines(ASKED)))
    with hw.SqliteStore(sys.argv[1]) as opened:
        info = opened.run("kills")
    nonce = info.uid.to_bytes(8, "big") + info.spec.salt
    calls = [call for call in hw.view("kills", store=sys.argv[1]).calls if call.ok and call.task in (REPORT, REQUEST)]
    return [hashlib.blake2b(bytes.fromhex(call.key), key=nonce, digest_size=16).hexdigest() for call in calls]


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    QUESTIONS.write_text(json.dumps(make_questions(int(sys.argv[5]))))
    die_and_rise(MOMENTS, live, recorded)
