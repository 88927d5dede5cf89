"""Lists, reads, keeps and removes the checkpoints of a root. Needs no training and no state."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from headway.checkpoint.arguments import as_numbers
from headway.checkpoint.catalog.collect import Report as Collected
from headway.checkpoint.catalog.collect import collect
from headway.checkpoint.catalog.leases import open_leased, pin, unpin
from headway.checkpoint.catalog.listing import find, manifests, newest
from headway.checkpoint.catalog.metrics import BEST, add_metrics, with_metrics
from headway.checkpoint.catalog.retention import Keep
from headway.checkpoint.files.manifest import Manifest
from headway.checkpoint.files.roots import root_of
from headway.checkpoint.files.stored import read_segments
from headway.checkpoint.load.lazy import OpenCheckpoint, open_checkpoint
from headway.checkpoint.load.verify import Report, verify
from headway.errors import UsageError
from headway.storage.opening import open_backend


class Root:
    """A root and what is to be kept of it."""

    def __init__(self, root: str | Path, keep: Keep | None) -> None:
        self.root = root_of(root)
        self.keep = keep
        self.backend = open_backend(self.root)

    # --- looking -----------------------------------------------------------------------------------------------------

    def open(self, step: int | str = "latest") -> OpenCheckpoint:
        """Open a checkpoint as a mapping from names to lazy arrays. Each slice reads and verifies its blocks. Needs no torch.

        Example:
            >>> rows = Checkpoints("runs/gpt").open(120)["model.layers.3.w"][10:20]  # doctest: +SKIP
        """
        with ExitStack() as stack:
            manifest, _ = stack.enter_context(open_leased(self.backend, self._meant(step), self._note))
            segments = read_segments(self.backend, manifest)
            return open_checkpoint(self.backend, manifest, segments, on_close=stack.pop_all().close)

    def manifests(self) -> tuple[Manifest, ...]:
        """List the checkpoints whose manifests verify, newest first. Warns of those that don't."""
        found = manifests(self.backend)
        for each in found.damaged:
            self._note(each.why)
        return found.checkpoints

    def latest(self) -> Manifest | None:
        """Return the newest checkpoint whose manifest verifies, or None. Warns of those it passes over."""
        found = newest(self.backend)
        for why in found.skipped:
            self._note(why)
        return found.manifest

    def verify(self, step: int | str = "latest") -> Report:
        """Read every byte of a checkpoint and report what is not as it was written. Warns of newer ones that it passes over."""
        return verify(self.backend, find(self.backend, self._meant(step), self._note))

    def metrics_of(self, step: int | str = "latest") -> dict[str, float]:
        """Return the metrics of a checkpoint: those saved with it, and those that `add_metrics` added."""
        return with_metrics(self.backend, [find(self.backend, self._meant(step), self._note)], self._note)[0].metrics

    def add_metrics(self, step: int | str, metrics: Mapping[str, float]) -> None:
        """Add numbers to a checkpoint that was saved before, as an evaluation gives them later. Of one name, the last counts. One
        rank calls it.

        Raises NoCheckpoint where there is no such checkpoint, UsageError for what is no finite number.

        Example:
            >>> ck.add_metrics(120, {"val_loss": 0.31})  # doctest: +SKIP
            >>> ck.load(into=state, step="best:val_loss:min")  # doctest: +SKIP
        """
        numbers = as_numbers(metrics, "add_metrics(…)")
        if not numbers or not all(map(math.isfinite, numbers.values())):
            raise UsageError(f"add_metrics({dict(metrics)!r}): give finite numbers by name")
        add_metrics(self.backend, find(self.backend, self._meant(step), self._note).id, numbers)

    def _meant(self, step: int | str) -> int | str:
        """A step as `find` takes it: `"best"` is by the metric that `keep` is about."""
        if step != BEST:
            return step
        if self.keep is None or self.keep.best is None:
            raise UsageError('step="best": by which metric? Write "best:val_loss:min", or Checkpoints(keep=Keep(best=…))')
        return f"{BEST}:{self.keep.best[0]}:{self.keep.best[1]}"

    def _note(self, why: str) -> None:
        warnings.warn(f"{self.root}: passed over: {why}", RuntimeWarning, stacklevel=4)

    # --- keeping -----------------------------------------------------------------------------------------------------

    def gc(self, keep: Keep | None = None, *, dry_run: bool = False) -> Collected:
        """Remove the checkpoints that `keep` (or that of this object) does not keep, and what crashed saves left."""
        return collect(self.backend, keep or self.keep or Keep(last=2**31), dry_run=dry_run)

    def pin(self, step: int | str) -> None:
        """Keep a checkpoint whatever the policy says, until it is unpinned."""
        pin(self.backend, find(self.backend, self._meant(step)).id)

    def unpin(self, step: int | str) -> None:
        """Leave a checkpoint to the policy again."""
        unpin(self.backend, find(self.backend, self._meant(step)).id)
