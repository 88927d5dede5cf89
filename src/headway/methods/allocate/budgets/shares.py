"""KISS shares: children get equal shares of what is left, and one share stays with the parent.

A parent that gives all it has to its children can't pay for the work that follows them: reading what they found, and the next
step. `share` is the rule, and `child_budgets` opens it as budgets. What a parent keeps is safe only if its children can't overdraw
theirs: give the tasks that spend a `cost=`, so that a call which doesn't fit is refused before it starts.
"""

from __future__ import annotations

from headway.errors import UsageError
from headway.methods import settings
from headway.scopes.budget import Budget, budget, remaining


def share(left: float, children: int) -> float:
    """What each of some children gets: left / (children + 1). One share stays with the parent.

    Args:
        left: what may still be spent, in any unit.
        children: how many share it.

    Returns:
        The amount of one child, in the same unit.

    Raises:
        UsageError: `left` is not a finite number from zero on, or there are no children.

    Example:
        >>> share(100.0, 4)
        20.0

    Source:
        KISS Sorcar, arXiv 2604.23822: the rule by which its agents fan out.
    """
    settings.finite("share", left=left)
    settings.at_least_one("share", children=children)
    return left / (children + 1)


def child_budgets(children: int, *units: str) -> list[Budget]:
    """A budget for each child, of one share of what is left here. The parent keeps one share, however deep children nest theirs.

    What is left is read once, before any child begins, so that all get the same. Ask again only when these children have ended:
    what they may still spend counts as left until it is reserved or spent. It departs in making no agent: it divides what
    `hw.remaining` says, for whatever runs inside.

    Args:
        children: how many share.
        *units: which units are shared, such as "tokens"; without any, all that are bounded here.

    Returns:
        Scopes, to be opened with `with`, one for each child.

    Raises:
        UsageError: there are no children, or nothing bounds a unit here, so that there is nothing to divide.

    Example:
        >>> from headway.methods import allocate
        >>> @hw.task(cost={"tokens": 10})
        ... async def ask(question: str) -> str:
        ...     hw.charge(tokens=10)
        ...     return question.upper()
        >>> @hw.task
        ... async def research(questions: list[str]) -> tuple[list[str], float]:
        ...     answers = []
        ...     for question, part in zip(questions, allocate.child_budgets(len(questions), "tokens")):
        ...         with part:
        ...             answers.append(ask(question))
        ...     return await hw.gather(*answers), hw.remaining("tokens")
        >>> @hw.task
        ... async def program() -> tuple[list[str], float]:
        ...     with hw.budget(tokens=30):
        ...         return await research(["why?", "how?"])
        >>> hw.run(program, store=None)
        (['WHY?', 'HOW?'], 10.0)

    Source:
        KISS Sorcar, arXiv 2604.23822: the rule by which its agents fan out.
    """
    settings.at_least_one("child_budgets", children=children)
    left = {unit: remaining(unit) for unit in units} if units else remaining()
    unbounded = [unit for unit, amount in left.items() if amount == float("inf")]
    if unbounded or not left:
        said = f"no budget bounds {unbounded[0]!r} here" if unbounded else "no budget is open here"
        raise UsageError(f"child_budgets: {said}, so there is nothing to share: open it inside of `with hw.budget(...)`")
    shares = {unit: share(max(0.0, amount), children) for unit, amount in left.items()}
    return [budget(wait=False, **shares) for _ in range(children)]
