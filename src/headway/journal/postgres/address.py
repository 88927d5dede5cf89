"""What the URL of a Postgres store says: the server, and what is Headway's own.

    postgresql://user@host:5432/db?blobs=s3://bucket/headway&schema=headway&listen=off

`blobs` names a folder or an object store for large values and checkpoints, `schema` the schema of the tables, and `listen=off` that
nothing may be expected of a connection but single transactions (a pooler in transaction mode). All else is libpq's.

Several hosts are one store, of which one server takes writes at a time: that one is looked for unless the URL says otherwise. This
file must never let a password into what people are shown.
"""

from __future__ import annotations

import re
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


class Address(NamedTuple):
    """Where a store is."""

    conninfo: str  # for libpq
    url: str  # for people: no password
    schema: str = SCHEMA
    blobs: str = ""
    listens: bool = True


def is_address(text: str) -> bool:
    """Whether a text names a Postgres store."""
    return text.partition(":")[0].lower() in SCHEMES and "://" in text


def parse_address(text: str, *, blobs: str = "") -> Address:
    """Read the URL of a store. `blobs`: where large values go, if the URL does not say. Raises StoreError.

    >>> parse_address("postgresql://me:secret@db/app?blobs=/srv/blobs&sslmode=require").url
    'postgresql://me:***@db/app?blobs=/srv/blobs&sslmode=require'
    """
    try:
        parts = urlsplit(text)
        asked = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise StoreError(f"this is no URL of a Postgres store ({error}): write postgresql://user@host:5432/database") from error
    if parts.fragment or text.endswith("#"):
        raise StoreError("a # ends a URL: write %23 for it, as in postgresql://user:pass%23word@host/database")
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
        ours.get("blobs", blobs),
        listen == "on",
    )


def _join(netloc: str, path: str, query: str) -> str:
    """A URL, with both slashes also where there is no host."""
    return f"postgresql://{netloc}{path}" + (f"?{query}" if query else "")


def _without_password(netloc: str) -> str:
    user, at, host = netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    return f"{name}{colon and ':' + HIDDEN}{at}{host}"
