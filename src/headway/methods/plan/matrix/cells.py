"""Whether a cell says what it should: WideSearch's metrics of one cell, and what is done to cells before.

Every function here goes from text to a number or to text. None asks a model: a judge is the caller's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date, datetime
from urllib.parse import urlparse

from headway.methods.plan.matrix.table import Cell

DAYS = 31  # two dates that are as near are near
_NUMBER = re.compile(r"[-+]?\d*\.\d+%?|[-+]?\d+\.?\d*%?")
_ADDRESS = re.compile(r"https?://[^\s|)\]>]+")
_DATES = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y-%m", "%Y/%m", "%Y", "%d %B %Y", "%d %b %Y", "%B %d, %Y", "%b %d, %Y", "%B %d %Y",
    "%b %d %Y", "%B %Y", "%b %Y", "%B, %Y", "%m/%d/%Y", "%d.%m.%Y", "%Y年%m月%d日", "%Y年%m月", "%Y年",
)  # fmt: skip


def text_of(cell: Cell) -> str:
    """A cell as text; empty where there is none."""
    return "" if cell is None else str(cell)


def norm_str(text: str) -> str:
    """Small letters, without blanks and the stars of bold type."""
    return text.lower().strip().replace(" ", "").replace("*", "")


def extract_number(text: str) -> str:
    """The first number of a text, with its per cent sign; "NULL" where there is none.

    Example:
        >>> extract_number("about 1,285 km2")
        '1285'
    """
    found = _NUMBER.search(text.replace(",", ""))
    return found[0] if found else "NULL"


def norm_date(text: str) -> str:
    """A date as YYYY-MM-DD, the first day where it names none; any other text as it is.

    Example:
        >>> norm_date("April 1912")
        '1912-04-01'
    """
    found = read_date(text)
    return text if found is None else found.isoformat()


def read_date(text: str) -> date | None:
    """The date that a text is; None where it is none of the usual forms."""
    for form in _DATES:
        try:
            return datetime.strptime(text.strip(), form).date()  # noqa: DTZ007 - a day has no zone here
        except ValueError:
            continue
    return None


def read_number(text: str) -> float | None:
    """The number that a text is, per cent as a hundredth; None where it is none."""
    try:
        found = float(text.replace("%", "")) / (100.0 if "%" in text else 1.0)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def exact_match(said: str, gold: str, criterion: float) -> float:
    """1 where both are the same but for capitals."""
    return float(said.lower() == gold.lower())


def in_match(said: str, gold: str, criterion: float) -> float:
    """1 where what was said is a part of what is right."""
    return float(said in gold)


def url_match(said: str, gold: str, criterion: float) -> float:
    """1 where both name the same hosts."""
    return float(_hosts_of(said) == _hosts_of(gold))


def number_near(said: str, gold: str, criterion: float) -> float:
    """1 where the numbers differ by no more than a share of the right one; texts that are no numbers must be the same.

    Example:
        >>> number_near("104", "100", 0.05), number_near("94", "100", 0.05)
        (1.0, 0.0)
    """
    ours, right = read_number(said), read_number(gold)
    if ours is None or right is None:
        return float(ours is None and right is None and said == gold)
    return float(abs(ours - right) <= abs(right) * criterion)


def date_near(said: str, gold: str, criterion: float) -> float:
    """1 where the dates lie no more than 31 days apart, and where neither is a date.

    Example:
        >>> date_near("15 April 1912", "1912-05-01", 0.0), date_near("1912", "1913", 0.0), date_near("soon", "later", 0.0)
        (1.0, 0.0, 1.0)
    """
    ours, right = read_date(said), read_date(gold)
    if ours is None or right is None:
        return float(ours is None and right is None)
    return float(abs((ours - right).days) <= DAYS)


METRICS: dict[str, Callable[[str, str, float], float]] = {
    "exact_match": exact_match,
    "in_match": in_match,
    "url_match": url_match,
    "number_near": number_near,
    "date_near": date_near,
}
PREPARED: dict[str, Callable[[str], str]] = {"norm_str": norm_str, "extract_number": extract_number, "norm_date": norm_date}


def _hosts_of(text: str) -> frozenset[str]:
    return frozenset(urlparse(address).netloc for address in _ADDRESS.findall(text))
