"""`check` and `predict`: what becomes of a program under crashes, and of a run on other machines. Nothing here changes a run."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from headway.cli.options import Json, Keywords, Pools, Program, RunId, Store, Trace
from headway.cli.trouble import handle_errors


@handle_errors
def check(
    program: Program,
    args: Annotated[list[str] | None, typer.Argument(help="The task's arguments, as for `run`.")] = None,
    kw: Keywords = None,
    schedules: Annotated[int, typer.Option("--schedules", min=1, help="How many; each is also killed and resumed.")] = 20,
    seed: Annotated[int, typer.Option("--seed", help="The number of the first schedule; the same seed repeats the check.")] = 0,
    seconds: Annotated[float, typer.Option("--seconds", min=0, help="After this time it ends, and says what it left.")] = 60.0,
    pool: Pools = None,
    answers: Annotated[
        str | None, typer.Option("--answers", metavar="RUN", help="Answer the calls that make no calls of their own from RUN.")
    ] = None,
    store: Store = ".headway",
    json: Json = False,
    traceback: Trace = False,
) -> None:
    """Check that a program survives crashes.

    Tries it under many schedules, kills and resumes it, and says what would lose or repeat work. Its code runs for real, again and
    again, in a simulated world: `await` takes no time, and nothing is written to a store. Code that computes for long takes that
    long each time. Calls that need a network get their answers from a recorded run (`--answers`).
    """
    from headway.cli.commands.check import CheckOptions, check_program

    check_program(CheckOptions(program, args or [], kw or [], schedules, seed, seconds, pool or [], answers, store, json))


@handle_errors
def predict(
    run_id: RunId,
    workers: Annotated[int, typer.Option("--workers", min=1, help="How many calls can run at a time.")],
    mtbf: Annotated[
        str | None, typer.Option("--mtbf", metavar="DURATION", help="A worker's mean time between failures.  [default: none]")
    ] = None,
    repair: Annotated[str, typer.Option("--repair", metavar="DURATION", help="How long until a failed worker is back.")] = "30s",
    within: Annotated[str | None, typer.Option("--within", metavar="DURATION", help="Report the chance to end in it.")] = None,
    budget: Annotated[
        list[str] | None, typer.Option("--budget", metavar="UNIT=AMOUNT", help="Report the chance to stay in it; repeatable.")
    ] = None,
    estimate: Annotated[
        list[str] | None,
        typer.Option(
            "--estimate", metavar="TASK=DURATION", help="Use this instead of the recorded times: 2.5s or 2.5s±0.5s. Repeatable."
        ),
    ] = None,
    order: Annotated[
        list[str] | None,
        typer.Option("--order", metavar="NAME", help="Compare this order of the calls that wait; repeatable. See `headway run`."),
    ] = None,
    pool: Annotated[
        Literal["process", "thread", "inline"] | None,
        typer.Option("--pool", help="Whose calls occupy workers.  [default: the pool that did the work]"),
    ] = None,
    trials: Annotated[int | None, typer.Option("--trials", min=1, help="How often to simulate.  [default: 5 to 200]")] = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same prediction.")] = 0,
    svg: Annotated[str | None, typer.Option("--svg", metavar="FILE", help="The picture.  [default: RUN-prediction.svg]")] = None,
    store: Store = ".headway",
    json: Json = False,
    traceback: Trace = False,
) -> None:
    """Predict a run's time on other workers.

    And what it would cost. A DURATION is written 90s, 15m, 6h or 2d.
    """
    from headway.cli.commands.predict import PredictOptions, predict_run

    predict_run(
        PredictOptions(
            run_id=run_id,
            store=store,
            workers=workers,
            mtbf=mtbf,
            repair=repair,
            within=within,
            budget=budget or [],
            estimate=estimate or [],
            order=order or [],
            pool=pool,
            trials=trials,
            seed=seed,
            svg=svg,
            json=json,
        )
    )
