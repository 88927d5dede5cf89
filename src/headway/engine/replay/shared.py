"""What equal calls of `cache="forever"` tasks share, and what stays with each of them.

Every call has a key of its own, under which it is found again. A call of a `cache="forever"` task has a second name, which does not
say who asks, and so has every call below it. A *result* is found under either name: it belongs to everybody. A failure, a
decision and what a call was refused for somebody's deadline or budget are found under the call's own key alone: they belong to the
call that got them. So a resumed run tells each caller what it was told before, and nobody hears of bounds that are another's.

Of equal calls one runs at a time. When it succeeds, the ones that wait are answered with its result. When it does not, the next of
them runs. It keeps the results of the calls below, unless the one before failed by itself: what they gave was not good enough, so
they are asked afresh, in a new epoch of the shared name.

So it is between runs of a store too: the call that runs claims its shared name there, and equal calls of other runs wait for its
result or, where it ends without one, for their turn (`name_claims`). They know nothing of what is below it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from headway.engine.call import Call, Share
from headway.engine.identity.inputs import replace_handles
from headway.engine.identity.keys import forever_key
from headway.engine.identity.naming import Names
from headway.engine.ports import Answers
from headway.engine.replay.lookup import Replay, inputs_digest
from headway.engine.replay.name_claims import Claims
from headway.engine.run_context import RunContext
from headway.engine.transitions import OK
from headway.engine.waiting.waits import Waits
from headway.errors import CycleError, SourceChanged, StoreDamaged
from headway.journal.records import Row
from headway.journal.recovery.recovered import Recorded, decode_outcome
from headway.journal.shared.claims import Reply

EFFECT = b"V"  # before a shared name in `Share.found`: who has begun the effect, None where that was another run


class _Named:
    """Stands for a handle under the name that it shares."""

    __headway_handle__ = True
    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key


def _make_name(handle: Call) -> _Named:
    return _Named(handle.key if handle.share is None else handle.share.key)


class Shared:
    def __init__(self, run: RunContext, names: Names, replay: Replay, waits: Waits) -> None:
        self._run = run
        self._names = names
        self._replay = replay
        self._waits = waits
        self.answers: Answers  # set by the engine, which makes both
        self.claims: Claims | None = None  # between runs; none without a store
        self._running: dict[bytes, tuple[Call, list[Call]]] = {}  # by shared name, and those that wait for it
        self._found: dict[bytes, dict[bytes, Any]] = {}  # by shared name: results below a call that has not succeeded yet
        self._epochs = run.known.epochs
        self._stale = set(run.known.stale)  # names whose results are computed again

    def name(self, call: Call, inputs: tuple[Call, ...]) -> Share:
        """The shared name of a call of a cache="forever" task, or of one below. It holds the shared names of its inputs."""
        asked = call.asked
        if call.spec.key is None and any(handle.share is not None for handle in inputs):
            args = tuple(replace_handles(value, _make_name) for value in call.args)
            asked = call.spec.canonical(args, {name: replace_handles(value, _make_name) for name, value in call.kwargs.items()})
        above = call.parent.share if call.parent is not None else None
        if call.spec.forever:
            key = forever_key(call.spec.identity, asked)
            return Share(key, self.epoch(key), {})
        assert above is not None
        key = self._names.shared_name(call, asked, above)
        return Share(key, self.epoch(key), above.found)

    def answered(self, call: Call, otherwise: Callable[[], None]) -> bool:
        """Answer a call whose inputs are there with the result of an equal one, or let it wait for one that runs. False where it
        has to run itself; a call of a cache="forever" task is then the one that runs. Where other runs may have recorded a result,
        or may be computing it, the store is asked first, off the loop. `otherwise` is called when the call is to run."""
        assert call.share is not None
        name = call.share.key
        if not call.spec.forever:
            return self._answer(call, self._results(call))
        running = self._running.get(name)
        if running is None:
            if self._answer(call, self._results(call)):
                return True
            call.share.begin(self.epoch(name))
            call.share.found = self._found.setdefault(name, call.share.found)
            self._running[name] = (call, [])
            call.add_callback(self._serve_waiting)
            return self._ask_others(call, otherwise)
        try:
            self._waits.join(call, running[0])
        except CycleError as error:
            self.answers.refuse(call, error)
        else:
            running[1].append(call)
        return True

    def _ask_others(self, call: Call, otherwise: Callable[[], None], seen: Row | None = None) -> bool:
        """Ask for what other runs have under the call's shared name, besides a result that does not hold. False where there is
        nobody to ask, or where the result is to be made again in this run."""
        share, claims = call.share, self.claims
        assert share is not None
        if claims is None or share.key in self._stale:
            return False

        def hear(reply: Reply | StoreDamaged) -> None:
            try:
                if isinstance(reply, StoreDamaged):
                    self.answers.refuse(call, reply)
                elif (row := reply.row) is None:
                    if reply.left and call.spec.effect:
                        share.found.setdefault(EFFECT + share.key, None)  # it may have happened: ask `verify`
                    otherwise()
                elif not self._answer(call, [Recorded(decode_outcome(row.body))]):
                    self._ask_others(call, otherwise, row)
            except SourceChanged as error:
                self.answers.refuse(call, error)

        claims.ask(call, seen, hear)
        return True

    def _results(self, call: Call) -> Iterator[Recorded]:
        """What this run recorded under the call's shared name, in this process and in earlier ones."""
        share = call.share
        assert share is not None
        if (found := share.found.get(share.key)) is not None:
            yield found
        if share.key in self._stale:
            return
        if (known := self._run.known.shared.get(share.key)) is not None:
            yield Recorded(decode_outcome(known))
        if call.spec.forever and (fresh := self._run.journal.fresh(share.key)) is not None:
            outcome = decode_outcome(fresh.row.body)
            buffers = tuple(memoryview(blob.data) for blob in fresh.blobs[: len(outcome.blobs)])
            yield Recorded(outcome, buffers)

    def _answer(self, call: Call, results: Iterable[Recorded]) -> bool:
        """Answer with the first result that holds for this call."""
        for recorded in results:
            if recorded.outcome.inputs == inputs_digest(call):
                if not self._replay.why_not(call.spec, recorded.outcome):
                    self.answers.answer(call, recorded)
                    return True
        return False

    def _serve_waiting(self, call: Call) -> None:
        """Answer the calls that waited for one that has ended, or let the next of them run."""
        assert call.share is not None
        name = call.share.key
        if self.claims is not None:
            self.claims.ended(call)
        _, waiting = self._running.pop(name)
        result = [call.share.found[name]] if name in call.share.found else []
        for other in waiting:
            self._waits.part(other, call)
            if other.state >= OK or self._answer(other, result):
                continue
            self.answers.start(other)
        if call.state == OK:
            self._found.pop(name, {}).clear()
            self._stale.discard(name)

    def effect_name(self, call: Call) -> bytes:
        """What the idempotency key of an effect is made of: the name that its equals share, as it was when the call first began."""
        if call.share is None:
            return call.key
        return self._run.known.effect_names.setdefault(call.key, call.share.key) if call.spec.effect else call.share.key

    def ask_afresh(self, call: Call) -> None:
        """Begin a new epoch for a call that failed by itself: whoever asks for the same next makes all calls below afresh."""
        if (share := call.share) is not None:
            self._epochs[share.key] = share.epoch + 1

    def epoch(self, name: bytes) -> int:
        """The epoch in which whoever asks next under a shared name begins. Its attempts count on from there, each for itself: so
        what a call asks below depends on its own attempts, and not on those of an equal one that a crash has ended."""
        return self._epochs.get(name, 0)
