"""The forms in which a secret is found in a text, and texts with placeholders in their place.

    Cleaner({"PORTAL": "correct horse"}).text("Basic Y29ycmVjdCBob3JzZQ==")     # "Basic «secret:PORTAL»=="

A secret rarely stays as it was written: a tool prints it as JSON, a client sends it as base64 behind a user's name, an error quotes
an address with it inside. So each secret is looked for as it is and as JSON, URL, HTML, Python's repr, hex and base64 write it.
What is compressed, encrypted, hashed, reversed or cut to pieces is not found, and no list of forms could be complete: it is the
second line of defence. The first is that a secret is only ever inside of the call that needs it.

All of it is pure. No error and no repr of what is here shows a secret.
"""

from __future__ import annotations

import base64
import html
import json
import re
import urllib.parse
from collections.abc import Callable, Iterator, Mapping

NAME = r"[A-Za-z_][A-Za-z0-9_.-]{0,63}"
PLACEHOLDER = re.compile(f"«secret:({NAME})»")
FEWEST = 6  # characters; a shorter text would be found everywhere


def placeholder(name: str) -> str:
    """What stands for a secret.

    >>> placeholder("PORTAL")
    '«secret:PORTAL»'
    """
    return f"«secret:{name}»"


def forms_of(secret: str) -> set[str]:
    """The forms in which a secret is looked for.

    >>> sorted(forms_of('a"b/cd'))[:4]
    ['6122622F6364', '6122622f6364', 'EiYi9jZ', 'YSJiL2Nk']
    """
    found = {secret, secret.strip()}
    for written in (json.dumps(secret), json.dumps(secret, ensure_ascii=False), repr(secret), repr(secret.encode())[1:]):
        found.add(written[1:-1])
        found.add(json.dumps(written[1:-1])[1:-1])  # JSON inside of JSON
    found |= {secret.replace("'", "'\"'\"'"), html.escape(secret), html.escape(secret, quote=False)}
    for quoted in (urllib.parse.quote(secret), urllib.parse.quote(secret, safe=""), urllib.parse.quote_plus(secret)):
        found |= {quoted, re.sub("%[0-9A-F]{2}", lambda at: at.group().lower(), quoted)}
    found |= {secret.encode().hex(), secret.encode().hex().upper(), *_base64(secret.encode())}
    return {form for form in found if len(form) >= FEWEST}


def _base64(secret: bytes) -> Iterator[str]:
    """What base64 makes of it wherever it begins: the characters that depend on nothing else."""
    for before in range(3):
        whole = base64.b64encode(bytes(before) + secret).decode()
        first, last = -(-8 * before // 6), 8 * (before + len(secret)) // 6
        kept = whole[first:last]
        yield kept
        yield kept.translate(str.maketrans("+/", "-_"))


class Cleaner:
    """Puts placeholders in the place of secrets. `also` cleans a text further."""

    __slots__ = ("__weakref__", "_also", "_bytes", "_names", "_text", "_wide")

    def __init__(self, secrets: Mapping[str, str], also: Callable[[str], str] | None = None) -> None:
        self._names = {form: name for name, secret in secrets.items() for form in forms_of(secret)}
        longest = sorted(self._names, key=lambda form: (-len(form), form))
        self._text = re.compile("|".join(map(re.escape, longest)) or r"(?!)")
        self._bytes = re.compile(b"|".join(re.escape(form.encode()) for form in longest) or rb"(?!)")
        wide = [form.encode(code) for form in longest for code in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")]
        self._wide = re.compile(b"|".join(map(re.escape, wide)) or rb"(?!)")
        self._also = also

    def __repr__(self) -> str:
        return f"<cleaner of {len(set(self._names.values()))} secrets>"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a vault's secrets are not pickled")

    def text(self, text: str) -> str:
        """A text without secrets. The same object where there are none."""
        if self._text.search(text) is not None:
            text = self._text.sub(lambda found: placeholder(self._names[found.group()]), text)
        return text if self._also is None else self._also(text)

    def data(self, data: bytes) -> bytes:
        """The same of bytes, which hold UTF-8."""
        if self._bytes.search(data) is None:
            return data
        return self._bytes.sub(lambda found: placeholder(self._names[found.group().decode()]).encode(), data)

    def is_in(self, data: bytes | memoryview) -> bool:
        """Whether bytes hold a secret, in UTF-8, 16 or 32."""
        return self._bytes.search(data) is not None or self._wide.search(data) is not None

    def held_back(self, text: str) -> int:
        """How many characters at the end of a text may be the beginning of a secret whose rest is still to come.

        >>> Cleaner({"PORTAL": "correct horse"}).held_back("it is corr")
        4
        """
        most = max(map(len, self._names), default=1) - 1
        for length in range(min(most, len(text)), 0, -1):
            end = text[-length:]
            if any(form.startswith(end) for form in self._names):
                return length
        return 0
