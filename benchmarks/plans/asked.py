"""What the page of plans opens with: its parts, the methods that were asked for, what must be shown, and what plans withstand.

A row, or a promise, answers a line by the beginning of its name: "LLMCompiler:" are all rows of LLMCompiler. Upper and lower case
matter. A line that nothing answers makes a test red.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.methods.compute import Overview
from benchmarks.methods.parts import Line
from benchmarks.plans import PLANS

HEAD = """# Results: plans and memory

Each row is a property that must be shown, with the test that holds it. Ours is compared with the strongest simple baseline, seed by
seed; the last columns have the mean of that comparison, its 95 % interval (Student's t over seeds), and whether the property is
reached by the bound of the interval. Promises have no number; tests hold them. Print it again:

```
python -m benchmarks.plans                   # measure what has no figure yet; a killed measurement goes on
python -m benchmarks.plans UFO DuMate        # measure some again
python -m benchmarks.plans --write-docs      # this page
```
"""

PARTS = {
    "plan": "a graph of steps that is edited while it runs, one executor, and the methods that speak to it in edits",
    "memory": "cases that outlive a run, found again and kept up; what is remembered is as old as the run that reads it",
    "planner": "a small model, trained here, that writes plans with dependent steps; and others to compare it with",
    "research": "questions to an atlas and to pages of FanOutQA over a real MCP server: `make demo-research`",
}
"""The rooms, in the order of the page, and what each is about."""

NAMED: Sequence[Line] = (
    Line("LLMCompiler", ("LLMCompiler:",)),
    Line("Divide-Then-Aggregate", ("Divide-Then-Aggregate:", "DTA:")),
    Line("UFO³", ("UFO³:",)),
    Line("TURA", ("TURA:",)),
    Line("A-MapReduce", ("A-MapReduce:",)),
    Line("WideSearch's metrics", ("WideSearch:",)),
    Line("SSD-LLM's map-reduce over items", ("SSD-LLM:",)),
    Line("Multiverse", ("Multiverse:",)),
    Line("Adaptive Parallel Reasoning", ("Adaptive Parallel Reasoning:", "APR:")),
    Line("UnifiedMLLM's routing tokens", ("UnifiedMLLM:",)),
    Line("Hogwild!", ("Hogwild!:",)),
    Line("AdaptOrch", ("AdaptOrch:",)),
    Line("Orchestra-o1", ("Orchestra-o1:",)),
    Line("DuMate", ("DuMate:",)),
    Line("HybridDeepSearcher", ("HybridDeepSearcher:",)),
    Line("ParallelSearch", ("ParallelSearch:",)),
    Line("KISS Sorcar", ("KISS Sorcar:", "KISS:")),
    Line("CortexCompile", ("CortexCompile:",)),
    Line("RS-MoE", ("RS-MoE:",)),
    Line("CogWriter", ("CogWriter:",)),
    Line("TaskMatrix.AI", ("TaskMatrix.AI:",)),
    Line("DEPS", ("DEPS:",)),
    Line("Collections of cases", ("Cases:",)),
    Line("MOBIMEM's record and replay", ("MOBIMEM:",)),
    Line("Task Memory Engine", ("Task Memory Engine:", "TME:")),
    Line("The trained planner", ("Planner:",)),
    Line("The noisy planner", ("Noisy planner:",)),
    Line("Spawn and join on Countdown", ("Adaptive Parallel Reasoning:", "APR:")),
    Line("The oracle plan", ("Oracle plan:",)),
    Line("Planners on atlas questions", ("Planners on atlas questions:",)),
)
"""The methods that were asked for."""

SHOWN: Sequence[Line] = (
    Line("Each method's property against the strongest baseline, with its interval", ("",)),
    Line(
        "LLMCompiler: the makespan is that of the critical path within 5 %, with streaming; a failing node ends the join",
        ("LLMCompiler:",),
    ),
    Line("Rounds take at least as long as dataflow, and as long only for level graphs", ("Divide-Then-Aggregate:", "DTA:")),
    Line("UFO³: 10,000 seeded interleavings of edits, completions and failures of devices without a broken invariant", ("UFO³:",)),
    Line(
        "Adaptive Parallel Reasoning: success against sequential tokens beats sequential search, on the trained model",
        ("Adaptive Parallel Reasoning:", "APR:"),
    ),
    Line("A-MapReduce: completeness against retries, one by one against chunks", ("A-MapReduce:",)),
    Line("KISS Sorcar: no parent is insolvent in 10,000 random trees", ("KISS Sorcar:", "KISS:")),
    Line("DuMate: the loop ends when no gap is left, and says what it searched and why", ("DuMate:",)),
    Line("MOBIMEM: hit rate and failures of guards, on uniform and power-law tasks", ("MOBIMEM:",)),
    Line("Multiverse: (sequential + Σ longest branch) / all tokens", ("Multiverse:",)),
    Line("A plan of 10,000 steps with 1,000 edits in flight: the graph costs less than the runtime", ("A plan of 10,000 steps",)),
)
"""What must be shown."""

WITHSTOOD: Sequence[Line] = (
    Line("A plan with a cycle", ("A plan with a cycle",)),
    Line("A reference to a step that is not there", ("A missing reference",)),
    Line("A reference to a step that comes later", ("A late reference",)),
    Line("A step that never ends", ("A step that never ends",)),
    Line("An edit of a step that runs", ("An edit of a step that runs",)),
    Line("A planner that stops in the middle of a line", ("A planner that stops in the middle of a line",)),
    Line("Two planners that edit at once", ("Two planners that edit at once",)),
)
"""Bad input, each with one clear error or a lawful outcome, and never a hang."""

OVERVIEW = Overview(HEAD, PLANS, PARTS, SHOWN, WITHSTOOD, "Bad input: one clear error or a lawful outcome, never a hang", NAMED)
