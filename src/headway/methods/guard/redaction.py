"""Redacts what looks like a secret, for texts whose secrets nobody has put into a vault.

    redact("login with ghp_16C7e42F292c6912E7710c838347Ae178B4a")       # "login with «redacted:GitHub Token»"

The patterns are those of detect-secrets: keys of some twenty services, private keys, tokens in addresses, what is assigned to a
name like `password`, and words so random that no language has them. It is a guess both ways. A password in plain prose is not
found, and a hash of a commit is taken for one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from headway.extras import explain_missing

_TOKEN = re.compile(r"[A-Za-z0-9+/_=-]{20,}")
_MIXED = re.compile(r"(?=.*\d)(?=.*[A-Za-z])")
_KEY_BLOCK = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)", re.DOTALL
)
_OURS = re.compile(r"«(?:secret|redacted):[^»]*»")


@dataclass(frozen=True, slots=True)
class Suspect:
    """A part of a text that looks like a secret.

    Attributes:
        start: where it begins, in characters.
        end: where it ends.
        kind: what it looks like, in the words of detect-secrets.
    """

    start: int
    end: int
    kind: str


def redact(text: str) -> str:
    """A text with what looks like a secret taken out.

    Args:
        text: any text.

    Returns:
        The text, with «redacted:KIND» in the place of each find.

    Raises:
        UsageError: the extra `guard` is missing.

    Example:
        >>> from headway.methods.guard import redact
        >>> redact("password = 'hunter2horse', page 7 of the report")
        "password = '«redacted:Secret Keyword»', page 7 of the report"

    Source:
        detect-secrets 1.5 (Yelp). It departs: a find is cut out whole, whatever group the plugin's pattern names, and the
        entropy of a word counts without quotes around it, from 20 characters on, since the texts are no source code.
    """
    out, at = [], 0
    for each in find_suspects(text):
        out += [text[at : each.start], f"«redacted:{each.kind}»"]
        at = each.end
    return "".join([*out, text[at:]]) if out else text


def find_suspects(text: str) -> list[Suspect]:
    """What looks like a secret in a text, without overlaps, in the order of the text.

    Args:
        text: any text.

    Returns:
        The places. Those that overlap are one, of the kind of the first.

    Raises:
        UsageError: the extra `guard` is missing.

    Example:
        >>> find_suspects("AKIAIOSFODNN7EXAMPLE")
        [Suspect(start=0, end=20, kind='AWS Access Key')]
    """
    kept: list[Suspect] = []
    ours = [found.span() for found in _OURS.finditer(text)]
    for each in sorted(_all(text), key=lambda one: (one.start, -one.end)):
        if kept and each.start < kept[-1].end:
            kept[-1] = Suspect(kept[-1].start, max(kept[-1].end, each.end), kept[-1].kind)
            continue
        if not any(each.start < end and start < each.end for start, end in ours):
            kept.append(each)
    return kept


def _all(text: str) -> Iterator[Suspect]:
    for block in _KEY_BLOCK.finditer(text):
        yield Suspect(*block.span(), "Private Key")
    plugins = _plugins()
    for named, pattern in plugins.patterns:
        for found in pattern.finditer(text):
            yield Suspect(*found.span(), named)
    start = 0
    for line in text.splitlines(keepends=True):
        for value in plugins.keywords(line.rstrip("\n")):
            at = line.find(value)
            if at >= 0:
                yield Suspect(start + at, start + at + len(value), "Secret Keyword")
        start += len(line)
    for token in _TOKEN.finditer(text):
        if kind := plugins.random_kind(token.group()):
            yield Suspect(*token.span(), kind)


@dataclass(frozen=True, slots=True)
class _Plugins:
    patterns: tuple[tuple[str, re.Pattern[str]], ...]
    keywords: Callable[[str], list[str]]
    random_kind: Callable[[str], str]


@lru_cache(maxsize=1)
def _plugins() -> _Plugins:
    with explain_missing("redact"):
        from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
        from detect_secrets.plugins.base import RegexBasedDetector
        from detect_secrets.plugins.high_entropy_strings import Base64HighEntropyString, HexHighEntropyString
        from detect_secrets.plugins.keyword import KeywordDetector
    kinds: Any = get_mapping_from_secret_type_to_class().values()
    made = [kind() for kind in kinds]
    # an IP address is no secret, and the patterns of two services take words of prose for their keys
    left_out = ("Public IP (ipv4)", "Private Key", "IBM Cloud IAM Key", "Cloudant Credentials")
    patterns: Any = [
        (each.secret_type, pattern)
        for each in made
        if isinstance(each, RegexBasedDetector) and each.secret_type not in left_out
        for pattern in each.denylist
    ]
    keyword, base64, hexes = KeywordDetector(), Base64HighEntropyString(), HexHighEntropyString()

    def random_kind(token: str) -> str:
        if re.fullmatch(r"[0-9a-fA-F]+", token):
            return str(hexes.secret_type) if hexes.calculate_shannon_entropy(token) > hexes.entropy_limit else ""
        if not any(len(part) >= 8 and _MIXED.match(part) for part in re.split(r"[/_=+-]", token)):
            return ""  # a path, or words with hyphens
        return str(base64.secret_type) if base64.calculate_shannon_entropy(token) > base64.entropy_limit - 0.5 else ""

    return _Plugins(tuple(patterns), lambda line: sorted(set(keyword.analyze_string(line)), key=len, reverse=True), random_kind)
