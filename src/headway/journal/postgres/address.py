"""What the URL of a Postgres store says: the server, and what is Headway's own.

    postgresql://user@host:5432/db?blobs=s3://bucket/headway&schema=headway&listen=off

`blobs` names a folder or an object store for large values and checkpoints, `schema` the schema of the tables, and `listen=off` that
nothing may be expected of a connection but single transactions (a pooler in transaction mode). All else is libpq's.

Several hosts are one store, of which one server takes writes at a time: that one is looked for unless the URL says otherwise. This
file must never let a password into what people are shown.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from headway.errors import StoreError

SCHEMES = ("postgresql", "postgres")
SCHEMA = "headway"
HIDDEN = "***"
_SECRETS = ("password", "sslpassword", "passfile")
_PATIENT = {
    "connect_timeout": "10",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
    "application_name": "headway",
}
"""What libpq is told where the URL does not say otherwise: a server that is gone is noticed before a lease is over."""
_WRITABLE = {"target_session_attrs": "read-write"}


_HOST = r"(\[[^\]]*\]|[^:\[\]]*)(:\d+)?"
_WRITE = (
    "write postgresql://user@host:5432/database, and what is special in a name or password as %XX (%40 for @, %2F for /, %23 for #)"
)


class Address(NamedTuple):
    """Where a store is."""

    conninfo: str  # for libpq
    url: str  # for people: no password
    schema: str = SCHEMA
    blobs: str = ""
    listens: bool = True

    def __repr__(self) -> str:
        return f"Address({self.url!r})"


def hide_password(text: str) -> str:
    """A text that may be a URL, right or wrong, without what may be a password in it.

    >>> hide_password("mysql://me:p@ss@host/db?password=no"), hide_password("runs:v1/sky")
    ('mysql://me:***@host/db?password=***', 'runs:v1/sky')
    """
    text = re.sub(r"^([\w+.-]+:/{1,2}[^:/?#@]*):.*@", rf"\1:{HIDDEN}@", text, flags=re.DOTALL)
    return re.sub(rf"\b({'|'.join(_SECRETS)})=[^&]*", rf"\1={HIDDEN}", text)


def is_address(text: str) -> bool:
    """Whether a text names a Postgres store."""
    return text.partition(":")[0].lower() in SCHEMES and "://" in text


def parse_address(text: str, *, blobs: str = "") -> Address:
    """Read the URL of a store. `blobs`: where large values go, if the URL does not say. Raises StoreError.

    >>> parse_address("postgresql://me:secret@db/app?blobs=/srv/blobs&sslmode=require").url
    'postgresql://me:***@db/app?blobs=/srv/blobs&sslmode=require'
    """
    if not is_address(text):
        raise StoreError(f"{hide_password(text)!r} is no URL of a Postgres store: {_WRITE}")
    try:
        parts = urlsplit(text)
        asked = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        if parts.fragment or text.endswith("#") or "@" in parts.path or not _is_plain(parts.netloc):
            raise ValueError("it has parts that no such URL has")
    except ValueError:  # which may say a part of the password
        raise StoreError(f"{hide_password(text)} is no URL of a Postgres store: {_WRITE}") from None
    ours = {name: value for name, value in asked if name in ("blobs", "schema", "listen")}
    theirs = {name: value for name, value in asked if name not in ours}
    schema = ours.get("schema", SCHEMA)
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,40}", schema) or schema.startswith("pg_"):
        raise StoreError(f"schema={schema!r}: write small letters, digits and _, as in schema=headway; pg_… is Postgres' own")
    listen = ours.get("listen", "on")
    if listen not in ("on", "off"):
        raise StoreError(f"listen={listen!r}: write listen=off behind a pooler in transaction mode, or leave it out")
    if parts.password == HIDDEN or HIDDEN in (theirs.get(name) for name in _SECRETS):
        raise StoreError(
            f"the password of {text} is hidden: name it in the URL, in PGPASSWORD or in ~/.pgpass (which needs none in the URL)"
        )
    shown = [(name, HIDDEN if name in _SECRETS else value) for name, value in asked]
    several = _WRITABLE if "," in parts.netloc.rpartition("@")[2] + theirs.get("host", "") else {}
    return Address(
        _join(parts.netloc, parts.path, urlencode({**_PATIENT, **several, **theirs}, quote_via=quote)),
        _join(_without_password(parts.netloc), parts.path, urlencode(shown, safe="/:*,", quote_via=quote)),
        schema,
        _check_place(ours.get("blobs", blobs)),
        listen == "on",
    )


def _join(netloc: str, path: str, query: str) -> str:
    """A URL, with both slashes also where there is no host."""
    return f"postgresql://{netloc}{path}" + (f"?{query}" if query else "")


def _is_plain(netloc: str) -> bool:
    """Whether libpq reads users and hosts of a URL as they were meant."""
    user, _, hosts = netloc.rpartition("@")
    no_escape = re.search(r"%(?![0-9A-Fa-f]{2})", netloc)
    return not no_escape and "@" not in user and all(re.fullmatch(_HOST, host) for host in hosts.split(","))


def _check_place(blobs: str) -> str:
    """The folder or URL of large values, as every program finds it."""
    if "://" in blobs and not blobs.startswith("file://"):
        return blobs
    path = blobs.removeprefix("file://")
    if path and not path.startswith(("/", "~")):
        raise StoreError(f"blobs={blobs!r}: write the whole path, as in blobs=/srv/headway: all programs have to find it")
    return str(Path(path).expanduser()) if path else ""


def _without_password(netloc: str) -> str:
    user, at, host = netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    return f"{name}{colon and ':' + HIDDEN}{at}{host}"
