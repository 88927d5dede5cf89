"""What the engine knows of a task: one value per `@task`, made once, read for each call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from headway.engine.identity.keys import explicit, label
from headway.engine.identity.labels import LabelLike, make_label
from headway.engine.identity.signature import Signature
from headway.engine.outcomes.retry import Retry
from headway.engine.scopes.bounds import LimitNumbers
from headway.engine.tasks.callables import call_user_function
from headway.engine.tasks.carried import encode_closure
from headway.engine.tasks.fingerprint import fingerprint
from headway.engine.tasks.watched import Watch, fingerprint_watched
from headway.journal.records import Amounts
from headway.pools.base import A_SLOT, Demand, FunctionRef

TASKS: dict[str, TaskSpec] = {}
"""The newest task of each name, so that a result can say which tasks it was built on and a run can be found again."""

RIVALS: set[str] = set()
"""Names under which more than one function was defined: anew, as in a notebook, or side by side."""


@dataclass(frozen=True, slots=True, eq=False)
class TaskSpec:
    name: str
    fn: Callable[..., Any]
    signature: Signature
    is_async: bool
    pool: str = "inline"
    retry: Retry | None = None
    timeout_s: float | None = None
    batch: int = 0
    linger_s: float = 0.0
    batches: int = 0  # how many may run at a time; 0: as many as there are
    key: Any = None  # a constant, or a function of the arguments
    forever: bool = False
    effect: bool = False
    verify: Callable[..., Any] | None = None
    tells: Callable[[BaseException], bool] | None = None  # which of its failures are answers, and not asked for again
    on_change: str = "reuse"
    version_text: str = ""
    watch: Watch | None = None  # what counts in its version besides its source
    cost: Amounts = field(default_factory=dict)
    resources: Mapping[str, int] = field(default_factory=dict)
    limit: LimitNumbers | None = None  # around each of its calls
    pickled: bool = False
    ref: FunctionRef | None = None
    need: Demand = A_SLOT  # what only its pool understands
    label_as: LabelLike | None = None  # what tells its calls apart
    streams: bool = False  # an async generator: its calls hand items out
    window: int = 0  # how many items it may be ahead of whoever reads
    leaf: bool = False  # its code makes no calls: they would record what it was given in secret
    plain: bool = True  # starts by simply running: no pool, timeout, batch, effect, resources
    identity: str = ""  # the name, and what tells the function from others of that name
    name_part: bytes = b""  # the identity as keys have it
    _version: list[bytes] = field(default_factory=list)
    _source: list[bytes] = field(default_factory=list)

    @property
    def may_wait(self) -> bool:
        """Whether a call may be handed to a pool a little before it begins: nothing is counted or timed from its start."""
        return not (self.effect or self.verify or self.batch or self.resources) and self.timeout_s is None

    @property
    def version(self) -> bytes:
        """The source fingerprint, computed at first use."""
        if not self._version:
            fn, watch = self.fn, self.watch
            self._version.append(fingerprint(fn, self.version_text) if watch is None else fingerprint_watched(fn, watch))
        return self._version[0]

    @property
    def source(self) -> bytes:
        """The source, whatever version the task says it is, with what the function closes over: it tells functions of one name
        apart within a run."""
        if not self._source:
            self._source.append(fingerprint(self.fn) + encode_closure(self.fn))
        return self._source[0]

    def canonical(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """What a call asks, as bytes: its explicit key where it has one, else its arguments. Raises NoCanonicalForm."""
        if self.key is None:
            return self.signature.canonical(args, kwargs)
        key = call_user_function(self.key, f"task {self.name}: key", *args, **kwargs) if callable(self.key) else self.key
        return explicit(key, self.name)

    def label(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        """What tells this call from others, for people."""
        if self.label_as is None:
            return label(args, kwargs)
        return make_label(self.label_as, args, kwargs, self.signature.names)
