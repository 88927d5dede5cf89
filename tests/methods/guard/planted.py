"""Keys planted in text, made anew for each seed, and text without any."""

from __future__ import annotations

import base64
import random
import string

_TEXT = "the quick report says that prices of pears fell by four percent in March and harbour traffic grew while nobody looked"
_WORDS = _TEXT.split()


def planted(seed: int) -> list[tuple[str, str]]:
    """Texts with a secret in each, of twelve kinds: the text, and the secret."""
    rng = random.Random(seed)

    def draw(letters: str, count: int) -> str:
        return "".join(rng.choice(letters) for _ in range(count))

    both, upper, lower = (
        string.ascii_letters + string.digits,
        string.ascii_uppercase + string.digits,
        string.ascii_lowercase + string.digits,
    )
    hexes = "0123456789abcdef"
    body = base64.b64encode(rng.randbytes(96)).decode()
    keys = {
        "aws": f"AKIA{draw(upper, 16)}",
        "github": f"ghp_{draw(both, 36)}",
        "gitlab": f"glpat-{draw(both, 20)}",
        "openai": f"sk-proj-{draw(both, 48)}",
        "slack": f"xoxb-{draw(string.digits, 12)}-{draw(lower, 24)}",
        "stripe": f"sk_live_{draw(both, 24)}",
        "jwt": ".".join(
            base64.urlsafe_b64encode(part).decode().rstrip("=")
            for part in (b'{"alg":"HS256"}', rng.randbytes(30), rng.randbytes(32))
        ),
        "sendgrid": f"SG.{draw(both, 22)}.{draw(both, 43)}",
        "private key": f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----",
        "hex": draw(hexes, 40),
        "base64": draw(both + "+/", 40),
    }
    made = [(f"{sentence(rng)} {key} {sentence(rng)}", key) for key in keys.values()]
    password = draw(both, 14)
    return [*made, (f'{sentence(rng)}\npassword = "{password}"\n{sentence(rng)}', password)]


def harmless(seed: int) -> list[str]:
    """Texts without a secret, with what looks a little like one: addresses, versions, paths, dates, numbers, identifiers."""
    rng = random.Random(seed)
    made = [sentence(rng) for _ in range(6)]
    return [
        *made,
        f"see https://example.org/articles/2026/{rng.randrange(10, 99)}/harbour-traffic-and-prices.html for more",
        f"version 3.{rng.randrange(20)}.{rng.randrange(20)} of pydantic-ai-slim needs Python 3.11",
        f"/usr/lib/python3/dist-packages/numpy/core/_multiarray_umath.cpython-311.so, line {rng.randrange(999)}",
        f"the meeting is on 2026-0{rng.randrange(1, 9)}-1{rng.randrange(9)}T10:00:00+02:00 in room {rng.randrange(99)}",
        f"invoice {rng.randrange(10**6, 10**7)}: {rng.randrange(10**4)}.50 EUR, paid by transfer",
        "def test_a_finished_sibling_survives_a_failed_gather(go): ...",
    ]


def sentence(rng: random.Random) -> str:
    return " ".join(rng.choice(_WORDS) for _ in range(rng.randrange(6, 14)))


def rates(seed: int) -> tuple[float, float]:
    """The share of planted secrets that are found, and of harmless texts in which something is."""
    from headway.methods.guard import redact

    texts, plain = planted(seed), harmless(seed)
    return sum(key not in redact(text) for text, key in texts) / len(texts), sum(redact(text) != text for text in plain) / len(
        plain
    )
