"""Fixed roles: CortexCompile writes a program in parts, RS-MoE asks experts with a prompt for each.

    compiled = await cortex_compile(model, "A program that sorts the lines of a file")
    mixed = await mixture(router, "Describe the harbour", {"places": Expert(a, "where things are"), "counts": Expert(b, "numbers")})

Who does what is known before anything runs, so both are short plans on the one executor. Of CortexCompile only the number of parts
is not known: its orchestrator says it, and the plan grows by them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from headway.engine.identity.signature import unkeyed
from headway.errors import ModelError, UsageError
from headway.methods import settings
from headway.methods.graph import Add, Edit, Graph, Need, Node, Trace, after
from headway.methods.plan.executor import execute
from headway.methods.plan.records import Executed, Failure
from headway.models.ask import AnyModel, sample
from headway.models.messages import Message
from headway.models.structured.answering import answer
from headway.task import task

ROLES: Mapping[str, str] = {
    "planning": "the algorithm: which steps solve this, in which order, and what may go wrong",
    "structure": "the data: which records and containers are needed, and how they are laid out",
    "sequence": "the flow: what is called when, with what, and what it returns",
    "control": "the edges: input and output, errors, and how it is begun",
}
"""What each role looks at, after the four regions of the paper."""
MOST = 12
_TOKENS = 2048


@dataclass(frozen=True, slots=True)
class CodePart:
    """A part of a program.

    Attributes:
        name: what it is called; a function or a class.
        purpose: what it does, with its arguments and what it returns.
    """

    name: str
    purpose: str


@dataclass(frozen=True, slots=True)
class Job:
    """What a step of such a plan does: whose it is, what is asked, and how long the answer may be."""

    kind: Literal["role", "orchestrate", "part", "expert", "merge"]
    name: str
    asked: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A program.

    Attributes:
        code: the whole program.
        parts: the code of each part, in the order of the orchestrator.
        faults: what is still wrong, by part; "" is the whole.
        rounds: how often parts were written.
        written: how many parts were written, over all rounds.
        executed: the plan as it ran.
    """

    code: str
    parts: Mapping[str, str]
    faults: Mapping[str, str]
    rounds: int
    written: int
    executed: Executed[Job, Any] = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether the check found nothing."""
        return not self.faults


@dataclass(frozen=True, slots=True)
class Expert:
    """Somebody who is asked.

    Attributes:
        model: the model.
        about: what it knows.
    """

    model: AnyModel
    about: str


@dataclass(frozen=True, slots=True)
class Brief:
    """What an expert is asked.

    Attributes:
        expert: who.
        prompt: what.
    """

    expert: str
    prompt: str


@dataclass(frozen=True, slots=True)
class Mixed:
    """What experts say together.

    Attributes:
        text: the merged answer.
        said: what each expert said, by name.
        failures: what the others failed with.
        routed: whether the router's prompts were asked; without it, the request itself.
    """

    text: str
    said: Mapping[str, str]
    failures: Mapping[str, str]
    routed: bool


def compiles(parts: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with the syntax of a program in Python.

    Args:
        parts: its code, part by part, in order.

    Returns:
        The faults by part; "" is the whole, where each part alone is right. Empty where nothing is wrong.

    Example:
        >>> compiles({"one": "def one():\\n    return 1", "two": "def two(:"})["two"]
        'line 1: invalid syntax'
    """
    faults = {name: fault for name, code in parts.items() if (fault := _fault_of(code))}
    whole = "" if faults else _fault_of("\n\n\n".join(parts.values()))
    return {"": whole} if whole else faults


def _fault_of(code: str) -> str:
    if not code.strip():
        return "there is no code"
    try:
        compile(code, "part", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        return f"line {getattr(error, 'lineno', None) or 1}: {getattr(error, 'msg', None) or error}"
    return ""


async def cortex_compile(
    model: AnyModel,
    request: str,
    *,
    roles: Mapping[str, str] = ROLES,
    models: Mapping[str, AnyModel] | None = None,
    check: Callable[[Mapping[str, str]], Mapping[str, str]] = compiles,
    rounds: int = 3,
    most: int = MOST,
) -> Compiled:
    """Write a program: roles look at it, an orchestrator cuts it into parts, which are written side by side, put together, checked.

    It departs in that parts at fault, and those alone, are written again with the fault shown, in so many rounds; the abstract says
    nothing of a check that fails.

    Args:
        model: who plays all roles.
        request: what the program is to do.
        roles: the roles, and what each looks at; all at once.
        models: other models for some roles, by name; "orchestrator" and "coder" are names, too.
        check: what is wrong with a program, by part: a pure function. "" is the whole, and has all parts written again.
        rounds: how often parts are written at most.
        most: how many parts there may be.

    Returns:
        The program, and what is still wrong with it.

    Raises:
        UsageError: settings that make no sense; before anything is asked.
        HeadwayError: as `PlanFailed`: the orchestrator failed, or the coder did at a part.

    Example:
        >>> from headway import models
        >>> from headway.methods.plan import teams
        >>> class Coder:
        ...     name, abilities = "coder", {"schema"}
        ...     async def stream(self, request):
        ...         asked = request.prompt[-1].text
        ...         if request.schema is not None:
        ...             yield models.Piece('{"answer": [{"name": "main", "purpose": "greet"}]}', finish="stop", tokens=9)
        ...         else:
        ...             yield models.Piece("print('hello')" if "Write" in asked else "Greet.", finish="stop", tokens=5)
        >>> @hw.task
        ... async def program() -> tuple[str, bool]:
        ...     compiled = await teams.cortex_compile(Coder(), "Greet me")
        ...     return compiled.code, compiled.ok
        >>> hw.run(program, store=None)
        ("print('hello')", True)

    Source:
        CortexCompile; after the idea of, from its abstract.
    """
    where = "cortex_compile"
    settings.at_least_one(where, rounds=rounds, most=most)
    settings.function(where, check=check)
    _check_request(where, request)
    if not isinstance(roles, Mapping) or not all(isinstance(name, str) and name for name in roles):
        raise UsageError(f"{where}: roles={roles!r:.80}: what each role looks at, by its name")
    known = {*roles, "orchestrator", "coder"}
    if unknown := [name for name in models or {} if name not in known]:
        raise UsageError(f"{where}: models= names {unknown[0]!r}, which is no role; there are: {', '.join(sorted(known))}")
    compiler = _Compiler(request, roles, check, rounds, most)
    players = {name: (models or {}).get(name, model) for name in known}

    def step(job: Job, given: Mapping[str, Any]) -> Any:
        name = {"orchestrate": "orchestrator", "part": "coder"}.get(job.kind, job.name)
        return do_job(job, dict(given), players[name])

    turns = rounds + 3  # the roles, the parts of each round, and the last look
    ran = await execute(step, goal=request, planner=compiler.plan, replan="done", rounds=turns, errors=ModelError)
    ran.check()
    parts = compiler.parts(ran.results)
    count = sum(id.startswith("part ") for id in ran.results)
    return Compiled("\n\n\n".join(parts.values()), parts, dict(check(parts)), compiler.round_of(ran.graph), count, ran)


@dataclass(frozen=True)
class _Compiler:
    """Plans a program: what is to be added follows from what the steps gave."""

    request: str
    roles: Mapping[str, str]
    check: Callable[[Mapping[str, str]], Mapping[str, str]]
    rounds: int
    most: int

    async def plan(self, goal: str, trace: Trace[Job]) -> AsyncIterator[Sequence[Edit[Job]]]:
        """First the roles, then the parts, then those at fault again."""
        if not len(trace.graph):
            minded = "Say in a few sentences what is to be minded."
            jobs = [Job("role", name, f"{goal}\n\nLook at {about}. {minded}") for name, about in self.roles.items()]
            yield [Add(Node(f"role {job.name}", job)) for job in jobs]
            asked = f"{goal}\n\nCut this program into at most {self.most} parts that can be written at the same time."
            yield [Add(Node("orchestrate", Job("orchestrate", "", asked), after(*(f"role {job.name}" for job in jobs), on="end")))]
            return
        number = self.round_of(trace.graph)
        if "orchestrate" not in trace.results or number == self.rounds:
            return
        found, names = self.parts(trace.results), self._names(trace.results)
        faults = self.check(found) if number else {"": ""}
        again = names if "" in faults else [name for name in names if name in faults]
        described = {part.name: part.purpose for part in trace.results["orchestrate"]}
        listing = "\n".join(f"- {name}: {purpose}" for name, purpose in described.items())
        edits: list[Edit[Job]] = []
        for name in again:
            asked = (
                f"{self.request}\n\nThe parts of the program:\n{listing}\n\nWrite the part {name!r} alone, as code without comment."
            )
            fault = (
                f"\n\nVersion {number} was:\n{found[name]}\n\nWrong with it: {faults.get(name, faults.get('', ''))}"
                if number
                else ""
            )
            edits.append(Add(Node(f"part {number + 1} {name}", Job("part", name, asked, fault))))
        if edits:
            yield edits

    def parts(self, results: Mapping[str, Any]) -> dict[str, str]:
        """The newest code of each part, in the order of the orchestrator."""
        newest = {}
        for number in range(1, self.rounds + 1):
            for name in self._names(results):
                if (code := results.get(f"part {number} {name}")) is not None:
                    newest[name] = code
        return {name: newest[name] for name in self._names(results) if name in newest}

    def round_of(self, graph: Graph[Job]) -> int:
        """How often parts were written."""
        return max((int(node.id.split()[1]) for node in graph if node.id.startswith("part ")), default=0)

    def _names(self, results: Mapping[str, Any]) -> list[str]:
        return list(dict.fromkeys(part.name for part in results.get("orchestrate", ())))[: self.most]


async def mixture(
    router: AnyModel,
    request: str,
    experts: Mapping[str, Expert],
    *,
    most: int = 4,
    merger: AnyModel | None = None,
) -> Mixed:
    """Make a prompt for each expert that is needed, ask them all at once, and merge what they say.

    It departs in that experts are models of the caller's, where the original trains blocks of one model. It departs where the
    router names nobody who is there, or fails: all experts are asked the request itself, up to `most`.

    Args:
        router: makes the prompts.
        request: what is asked.
        experts: who there is, by name.
        most: how many are asked at most.
        merger: who merges; without one, the router does.

    Returns:
        The merged answer, and what each expert said.

    Raises:
        UsageError: settings that make no sense; before anything is asked.
        HeadwayError: as `PlanFailed`: the merger failed, or all experts did.

    Example:
        >>> from headway import models
        >>> from headway.methods.plan import teams
        >>> class Says:
        ...     abilities = {"schema"}
        ...     def __init__(self, name, text):
        ...         self.name, self.text = name, text
        ...     async def stream(self, request):
        ...         prompts = '{"answer": [{"expert": "counts", "prompt": "How many boats?"}]}'
        ...         yield models.Piece(self.text if request.schema is None else prompts, finish="stop", tokens=9)
        >>> @hw.task
        ... async def program() -> tuple[str, dict[str, str]]:
        ...     experts = {"counts": teams.Expert(Says("counts", "Two."), "numbers")}
        ...     mixed = await teams.mixture(Says("router", "Two boats."), "Describe the harbour", experts)
        ...     return mixed.text, dict(mixed.said)
        >>> hw.run(program, store=None)
        ('Two boats.', {'counts': 'Two.'})

    Source:
        RS-MoE: an instruction router that makes one prompt for each expert; after the idea of, from notes on it.
    """
    where = "mixture"
    settings.at_least_one(where, most=most)
    _check_request(where, request)
    if not isinstance(experts, Mapping) or not experts or not all(isinstance(each, Expert) for each in experts.values()):
        raise UsageError(f"{where}: experts={experts!r:.80}: at least one teams.Expert, by its name")
    briefs = await _route(router, request, experts, most)
    asked = briefs or [Brief(name, request) for name in list(experts)[:most]]
    nodes = [Node(f"expert {each.expert}", Job("expert", each.expert, each.prompt)) for each in asked]
    merge = Job("merge", "", f"{request}\n\nExperts were asked about parts of this. Merge what they say into one answer.")
    graph = Graph((*nodes, Node("merge", merge, tuple(Need(node.id, "end") for node in nodes))))

    def step(job: Job, given: Mapping[str, Any]) -> Any:
        return do_job(job, dict(given), experts[job.name].model if job.kind == "expert" else merger or router)

    ran = await execute(step, graph=graph, errors=ModelError)
    said = {each.expert: ran.results[f"expert {each.expert}"] for each in asked if f"expert {each.expert}" in ran.results}
    if "merge" not in ran.results:
        ran.check()
    failures = {id.removeprefix("expert "): error for id, error in ran.failures.items()}
    return Mixed(ran.results["merge"], said, failures, bool(briefs))


async def _route(router: AnyModel, request: str, experts: Mapping[str, Expert], most: int) -> list[Brief]:
    """A prompt for each expert that is needed; none where the router came to nothing."""
    listing = "\n".join(f"- {name}: {expert.about}" for name, expert in experts.items())
    asked = f"{request}\n\nExperts:\n{listing}\n\nFor each expert that is needed write one prompt, about what it knows alone."
    try:
        made = await answer(router, [Message("user", asked)], list[Brief], max_tokens=_TOKENS)
    except ModelError:
        return []
    known = {brief.expert: brief for brief in made if brief.expert in experts and brief.prompt}
    return list(known.values())[:most]


@task(name="roles.job", label=lambda job, given, model: f"{job.kind} {job.name}".strip())
async def do_job(job: Job, given: dict[str, Any], model: Annotated[AnyModel, unkeyed]) -> str | list[CodePart]:
    """What one role says. It sees what the steps before it said, and which of them failed."""
    if job.kind == "merge" and all(isinstance(said, Failure) for said in given.values()):
        raise ModelError("all experts failed: " + "; ".join(f"{id}: {said.error}" for id, said in given.items()))
    heard = "\n\n".join(f"[{id}] {'failed' if isinstance(said, Failure) else said}" for id, said in given.items())
    prompt = [Message("user", "\n\n".join(filter(None, (heard, job.asked + job.fault))))]
    if job.kind == "orchestrate":
        parts = await answer(model, prompt, list[CodePart], max_tokens=_TOKENS)
        if not parts:
            raise ModelError("the orchestrator cut the program into no parts")
        return parts
    said = (await sample(model, prompt, max_tokens=_TOKENS)).text
    return _strip_fence(said) if job.kind == "part" else said


def _strip_fence(said: str) -> str:
    """The code in what a model wrote: what is in its first fence, or all of it."""
    before, fence, rest = said.partition("```")
    return rest.partition("\n")[2].partition("```")[0].rstrip() if fence else before.rstrip()


def _check_request(where: str, request: object) -> None:
    if not isinstance(request, str) or not request:
        raise UsageError(f"{where}: request={request!r:.80}: what is asked, as text")
