"""Questions whose answers lie on many pages: three ways to run one plan, several planners, killed in the middle, and nothing twice.

    python examples/research.py                 # make demo-research
    python examples/research.py --questions 3 --no-kill --fresh

The pages are served by an MCP server that is slow, and fails now and then: an atlas, and pages made of FanOutQA's own sub-questions
and answers (CC BY-SA 4.0). FanOutQA's questions come with the plans that people wrote for them, and each is run one step at a time,
in rounds, and as a flow of data. Questions to the atlas are planned by models: a small one that was trained here, an early stage of
it that makes mistakes, and others where they are installed.

One process watches. It starts a second one that works, kills it with SIGKILL twice, and starts it again. What was answered is not
asked again, and each report is filed once.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import headway as hw
from headway.extras import require
from headway.reference.planner.questions import Question as AtlasQuestion
from library.asking import file_once, open_library
from library.fanout import WHEEL, NoQuestions, Question, load_questions
from library.lines import read_lines
from library.oracle import ORDERS, Answered, answer_by_oracle
from library.planned import PLANNERS, Planned, Planner, answer_by_planner, choose_questions
from library.reporting import draw_plans, tabulate_oracle, tabulate_planners

DATA = Path(__file__).resolve().parents[1] / ".venv" / "data" / WHEEL
TASKS = (answer_by_oracle.spec.name, answer_by_planner.spec.name)


@dataclass(frozen=True)
class Setting:
    """What is asked, and of whom.

    Attributes:
        data: the file of FanOutQA's questions.
        folder: where the libraries write down what they are asked.
        questions: how many of FanOutQA.
        ways: how their plans are run.
        planned: how many to the atlas.
        planners: who plans these.
        latency_s: the mean latency of the library.
        fails: the share of its requests that fail at first.
        seed: what is drawn from.
    """

    data: str
    folder: str
    questions: int
    ways: tuple[str, ...]
    planned: int
    planners: tuple[str, ...]
    latency_s: float = 0.15
    fails: float = 0.1
    seed: int = 1

    def chosen(self) -> list[Question]:
        """The questions of FanOutQA that are asked."""
        return random.Random(self.seed).sample(load_questions(Path(self.data)), self.questions)

    def asked_of(self, planner: str) -> Sequence[AtlasQuestion]:
        """The questions to the atlas that a planner is asked."""
        most = PLANNERS.get(planner, Planner()).most or self.planned
        return choose_questions(self.planned, self.seed)[:most]

    @property
    def total(self) -> int:
        """How many answers there are to be."""
        return self.questions * len(self.ways) + sum(len(self.asked_of(planner)) for planner in self.planners)


@hw.task
async def research(setting: Setting) -> tuple[list[Answered], list[Planned]]:
    """Answer all questions in all ways, and file a report of each."""
    settings = {"questions": setting.data, "latency_s": setting.latency_s, "fails": setting.fails, "seed": setting.seed}
    answered: list[Answered] = []
    planned: list[Planned] = []
    for question in setting.chosen():
        for way in setting.ways:
            library = open_library(Path(setting.folder), f"library_{way.replace(' ', '_')}", **settings)
            answered.append(await answer_by_oracle(library, question, way))
            hw.progress(len(answered), setting.total)
        await file_once(library, question.question, answered[-1].answer)
    for planner in setting.planners:
        library = open_library(Path(setting.folder), f"library_{planner.replace('-', '_')}", **settings)
        for asked in setting.asked_of(planner):
            planned.append(await answer_by_planner(library, asked, planner))
            hw.progress(len(answered) + len(planned), setting.total)
    return answered, planned


# --- the process that watches -----------------------------------------------------------------------------------------


def watch(args: argparse.Namespace, setting: Setting) -> None:
    """Start the one that works, kill it twice, and start it again."""
    kills = [] if args.no_kill else [setting.total // 4, setting.total * 2 // 3]
    if (recorded := look(args)) is not None:  # it was killed before, by this program or by somebody else
        kills = [kill for kill in kills if kill > count_answers(recorded)]
    with show_progress() as progress:
        shown = progress.add_task("answers", total=setting.total)
        while True:
            child = subprocess.Popen([sys.executable, __file__, "--work", *sys.argv[1:], "--run", args.run])
            while child.poll() is None:
                time.sleep(0.1)
                if (recorded := look(args)) is None:
                    continue
                done = count_answers(recorded)
                progress.update(shown, completed=done)
                if kills and done >= kills[0] and (known := count_begun(recorded)):
                    child.send_signal(signal.SIGKILL)
                    child.wait()
                    kills.pop(0)
                    so_far = f"{done} answers, and {known} {'request' if known == 1 else 'requests'} of the next one"
                    say(f"killed with SIGKILL; recorded so far: {so_far}. Once more:", "bold red")
            if child.returncode == 0:
                progress.update(shown, completed=setting.total)
                return
            if child.returncode != -signal.SIGKILL:
                raise SystemExit(child.returncode)


def look(args: argparse.Namespace) -> hw.RunView | None:
    with contextlib.suppress(hw.UnknownRun, hw.StoreError):  # it has not begun
        return hw.view(args.run, store=args.store)
    return None


def count_answers(recorded: hw.RunView) -> int:
    """How many answers are recorded."""
    return sum(call.task in TASKS and call.ok for call in recorded.calls)


def count_begun(recorded: hw.RunView) -> int:
    """How many requests are recorded that belong to no answer yet."""
    last = max((call.ended or 0.0 for call in recorded.calls if call.task in TASKS and call.ok), default=0.0)
    return sum(call.task == "mcp.call" and call.ok and (call.ended or 0.0) > last for call in recorded.calls)


# --- what came of it --------------------------------------------------------------------------------------------------


def report(args: argparse.Namespace, setting: Setting) -> None:
    """What each way and each planner found and took, a picture, and that nothing was done twice."""
    answered, planned = hw.resume(args.run, store=args.store, progress=False)
    CONSOLE.print(tabulate_oracle(setting.chosen(), answered))
    if planned:
        CONSOLE.print(tabulate_planners(planned))
    pictures = draw_plans(hw.view(args.run, store=args.store), setting.chosen(), answered, planned)
    for name, picture in pictures.items():
        (args.store / name).write_text(picture)
    filed = Counter(line["question"] for log in args.store.glob("library_*/filed.jsonl") for line in read_lines(log))
    twice = sum(times > 1 for times in filed.values())
    say(f"{len(filed)} reports filed, {twice} of them twice.", "bold red" if twice else "green")
    again = count_repeated(args.store)
    say(f"{again} requests were asked again: those whose answers nobody had recorded when the program was killed.", "")
    say(f"plans as they ran: {', '.join(str(args.store / name) for name in pictures)}", "")
    say(f"look at it: headway show {args.run} --store {args.store}", "")


def count_repeated(store: Path) -> int:
    """How many requests came a second time, by their idempotency keys."""
    asked = Counter(line["key"] for log in store.glob("library_*/asked.jsonl") for line in read_lines(log))
    return sum(times - 1 for times in asked.values())


def show_progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=CONSOLE, disable=not CONSOLE.is_terminal)


def say(what: Any, style: str) -> None:
    CONSOLE.print(what, markup=False, highlight=False, style=style)


CONSOLE = Console(width=None if sys.stdout.isatty() else 160)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Questions whose answers lie on many pages, planned and killed in the middle.")
    parser.add_argument("--questions", type=int, default=6, help="how many of FanOutQA")
    parser.add_argument("--ways", nargs="*", default=list(ORDERS), choices=list(ORDERS), help="how their plans are run")
    parser.add_argument("--planned", type=int, default=12, help="how many to the atlas, for each planner")
    parser.add_argument("--planners", nargs="*", default=list(PLANNERS), help="names of models, as models.open takes them")
    parser.add_argument("--data", type=Path, default=DATA, help="FanOutQA's wheel, or a JSON file of the same form")
    parser.add_argument("--latency", type=float, default=0.15, help="the mean latency of the library, in seconds")
    parser.add_argument("--store", type=Path, default=Path(".headway/research"))
    parser.add_argument("--run", default="research")
    parser.add_argument("--no-kill", action="store_true", help="let it work undisturbed")
    parser.add_argument("--fresh", action="store_true", help="from the beginning")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main() -> None:
    args = parse()
    args.store = args.store.resolve()
    there = tuple(name for name in args.planners if PLANNERS.get(name, Planner()).is_there())
    ways = tuple(way for way in ORDERS if way in args.ways)
    setting = Setting(str(args.data.resolve()), str(args.store), args.questions, ways, args.planned, there, args.latency)
    if args.work:
        hw.run(research, setting, store=args.store, run_id=args.run, progress=False)
        return
    if args.fresh:
        shutil.rmtree(args.store, ignore_errors=True)
    try:
        require("examples/research.py", "mcp", "pyworldatlas")
        setting.chosen()
    except (hw.UsageError, NoQuestions) as error:
        raise SystemExit(str(error)) from None
    planners = ", ".join(there) or "nobody"
    say(f"{args.questions} questions of FanOutQA in {len(ways)} ways; {args.planned} to the atlas, planned by {planners}", "bold")
    watch(args, setting)
    report(args, setting)


if __name__ == "__main__":
    main()
