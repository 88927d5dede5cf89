"""The invitation: where the driver listens, the token that each proves to know, and the fingerprint of the driver's certificate.

It is one line of text for the standard input of `python -m headway.pools.agents`. Whoever has it can pose as that agent, once.
"""

from __future__ import annotations

import base64
import ipaddress

import msgspec

from headway.errors import UsageError

PREFIX = "headway-agent-1:"
MOST_BYTES = 64 * 1024


class Invitation(msgspec.Struct, frozen=True, array_like=True):
    """Where to come and how to prove to be the one that was asked.

    Attributes:
        number: the number of the agent.
        host: the driver's address.
        port: its port.
        token: 32 secret bytes, good for one connection.
        fingerprint: SHA-256 of the driver's certificate; empty where the connection is not encrypted.
    """

    number: int
    host: str
    port: int
    token: bytes
    fingerprint: bytes = b""


def write_invitation(invitation: Invitation) -> str:
    """The invitation as one line of text."""
    return PREFIX + base64.urlsafe_b64encode(msgspec.msgpack.encode(invitation)).decode()


def read_invitation(line: str) -> Invitation:
    """Read what `write_invitation` wrote. Raises UsageError for anything else, and where the line would have the agent speak in
    plain text off this machine."""
    text = line.strip()
    if not text.startswith(PREFIX):
        if text.startswith("headway-agent-"):
            raise UsageError("this invitation is of another version of Headway: install the driver's version on this machine")
        raise UsageError(
            "python -m headway.pools.agents expects an invitation on its standard input; "
            "`headway run … --hire` starts it and writes one"
        )
    try:
        found = msgspec.msgpack.decode(base64.urlsafe_b64decode(text.removeprefix(PREFIX)), type=Invitation)
    except (ValueError, msgspec.DecodeError) as error:
        raise UsageError(f"the invitation was damaged on its way ({error})") from error
    if not found.fingerprint and not is_loopback(found.host):
        raise UsageError(f"the invitation is to dial {found.host} without TLS: an agent speaks plain text only on its own machine")
    return found


def is_loopback(host: str) -> bool:
    """Whether an address can only be this machine.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("10.0.0.7"), is_loopback("localhost")
    (True, True, False, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name may mean anything
