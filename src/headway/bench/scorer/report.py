"""A rating as a table."""

from __future__ import annotations

from rich.table import Table

from headway.bench.scorer.program import Report


def table(found: Report) -> Table:
    """The ratings by subset, the mean over them, and what best-of-n gives."""
    over = f", the mean over {len(found.ratings)} subsets" if len(found.ratings) > 1 else ""
    shown = Table(title=f"{found.scorer}: {found.score:.1%}{over}", caption=_best_of(found))
    shown.add_column("subset", no_wrap=True)
    for column in ("items", "score", "95 %", "AUROC"):
        shown.add_column(column, justify="right")
    for each in found.ratings:
        interval = "" if each.low == each.high else f"{each.low:.1%} to {each.high:.1%}"
        shown.add_row(each.subset or "(none)", f"{each.items}", f"{each.score:.1%}", interval, f"{each.auroc:.3f}")
    return shown


def _best_of(found: Report) -> str | None:
    if (best := found.best_of) is None:
        return None
    return f"right: one answer {best.one:.1%}, the best of {best.n} by this scorer {best.best:.1%}, any of {best.n} {best.some:.1%}"
