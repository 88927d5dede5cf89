"""What a check can find, in words for whoever wrote the program."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class Kind(enum.StrEnum):
    """What was found. The first ones lose or repeat work, the last ones may be meant."""

    BROKEN_PROMISE = "broken promise"
    """Headway itself did not keep a promise: a bug of ours."""
    FAILS = "fails under a schedule"
    RESULT_DIFFERS = "result differs after a crash"
    ARGUMENTS_CHANGE = "arguments change on resume"
    EFFECT_NOT_MARKED = "effect not marked"
    SWALLOWED = "error nobody sees"
    BLOCKS_THE_LOOP = "blocks the loop"
    VALUE_DIFFERS = "another value when run again"
    REACHES_OUT = "reaches out"

    @property
    def is_error(self) -> bool:
        """Whether it makes a check fail; the others are remarks."""
        return self not in (Kind.BLOCKS_THE_LOOP, Kind.VALUE_DIFFERS, Kind.REACHES_OUT)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a check found.

    Attributes:
        kind: what kind of thing.
        task: the task that it is about.
        call: the call that it is about; empty where it is about all calls of the task.
        what: what was found.
        advice: what to do next.
        again: the options of `headway check` that show it again.
    """

    kind: Kind
    task: str
    call: str
    what: str
    advice: str
    again: str = ""


@dataclass(slots=True)
class Report:
    """All that a check found, each kind once per task, and what it did to find it.

    Attributes:
        program: the task that was checked.
        findings: what was found.
        schedules: how many schedules it ran under.
        crashes: how often it was killed.
        replays: how often a body ran again.
        calls: how many calls were made.
        rows: how many records were written.
        skipped: what could not be checked, and why.
    """

    program: str
    findings: list[Finding] = field(default_factory=list)
    schedules: int = 0
    crashes: int = 0
    replays: int = 0
    calls: int = 0
    rows: int = 0
    skipped: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing was found that makes a check fail."""
        return not any(finding.kind.is_error for finding in self.findings)

    def add(self, finding: Finding) -> None:
        """Keep a finding, unless the same is known of this task.

        Args:
            finding: the finding.
        """
        what = finding.what if finding.kind is Kind.BROKEN_PROMISE else ""
        if all((known.kind, known.task) != (finding.kind, finding.task) or what not in ("", known.what) for known in self.findings):
            self.findings.append(finding)

    def __str__(self) -> str:
        lines = [f"{len(self.findings)} found in {self.program}: {self.schedules} schedules, {self.crashes} crashes"]
        for finding in self.findings:
            lines.append(f"- {finding.kind}: {finding.call or finding.task}: {finding.what} {finding.advice}")
        return "\n".join(lines)
