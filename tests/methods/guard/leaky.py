"""Tools that do with a secret what tools do, and where to look for it afterwards."""

from __future__ import annotations

import base64
import dataclasses
import json
import logging
import sqlite3
import urllib.parse
from pathlib import Path
from typing import Any

import headway as hw

CANARY = 'c4n4ry/"pass" wörd+9'
log = logging.getLogger("leaky")


class Refused(Exception):
    """An error with a secret in each of its places."""

    def __init__(self, said: str, password: str) -> None:
        super().__init__(said, {"password": password})
        self.password = password


@dataclasses.dataclass(frozen=True)
class Session:
    user: str
    headers: dict[str, str]


def all_forms(secret: str) -> list[str]:
    """A secret as programs write it."""
    basic = base64.b64encode(f"ada:{secret}".encode()).decode()
    longer = base64.urlsafe_b64encode(f"adab:{secret}".encode()).decode()
    return [
        f"raw {secret}",
        json.dumps({"password": secret}),
        json.dumps({"password": secret}, ensure_ascii=False),
        json.dumps(json.dumps([secret])),
        repr([secret]),
        f"https://ada:{urllib.parse.quote(secret, safe='')}@example.org/?p={urllib.parse.quote_plus(secret)}",
        f"Basic {basic}",
        longer,
        secret.encode().hex(),
    ]


@hw.task(pool="process")
def sign_in_elsewhere(user: str, password: str) -> list[str]:
    """Sign in, in a process."""
    log.warning("signing in with %s", password, extra={"password": password})
    if password != CANARY:
        raise ValueError(f"not the password: {password}")
    if user == "eve":
        raise Refused(f"no {user} with {password}", password)
    return all_forms(password)


def grep(secret: str, *places: Path) -> list[str]:
    """Where the marks of a secret are, in any file below: the secret, its middle, and how JSON, URLs, base64 and hex write it."""
    marks = {"c4n4ry", secret, secret.encode().hex()[:12], urllib.parse.quote_plus(secret)}
    marks |= {base64.b64encode(b"x" * at + secret.encode()).decode()[4:12] for at in range(3)}
    found = []
    for place in places:
        for file in [place] if place.is_file() else sorted(place.rglob("*")):
            if file.is_file():
                data = file.read_bytes()
                found += [f"{file.name}: {mark!r}" for mark in marks if mark.encode() in data]
    return found


def values_in(store: Path) -> list[Any]:
    """All that the tables of a store hold: what is in a page's free space was seen by `grep`."""
    found: list[Any] = []
    for file in store.rglob("*.db"):
        with sqlite3.connect(file) as base:
            tables = [name for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            found += [row for name in tables for row in base.execute(f"SELECT * FROM {name}")]
    return found
