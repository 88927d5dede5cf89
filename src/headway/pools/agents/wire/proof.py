"""How a driver and an agent prove to each other that they know the token, before either believes a word of the other.

    agent  → driver   its number, a nonce
    driver → agent    a nonce, HMAC(token, "driver", number, both nonces, certificate)
    agent  → driver   HMAC(token, "agent", number, both nonces, certificate)

The token itself is never sent. The certificate's fingerprint is part of what is proven, so nobody can stand in between with another
one. This part never changes with the protocol's version: versions are compared afterwards, between those who know each other, so a
mismatch can be said in a sentence.

These functions block, on sockets that have a timeout.
"""

from __future__ import annotations

import hmac
import secrets
import socket
import struct

from headway.pools.agents.wire.invitation import Invitation

MAGIC = b"headway\n"
NONCE_BYTES = 32
PROOF_BYTES = 32
TOKEN_BYTES = 32
_GREETING = struct.Struct(f"<{len(MAGIC)}sI{NONCE_BYTES}s")


class NotProven(Exception):
    """The other end does not know the token, or is no Headway at all."""


def prove(secret: bytes, who: bytes, number: int, of_agent: bytes, of_driver: bytes, fingerprint: bytes) -> bytes:
    """What only those who know the token can compute."""
    said = b"".join((who.ljust(8), struct.pack("<I", number), of_agent, of_driver, fingerprint))
    return hmac.digest(secret, said, "sha256")


def introduce_agent(sock: socket.socket, invitation: Invitation) -> None:
    """The agent's side. Raises NotProven where the driver does not know the token."""
    mine, number, token = secrets.token_bytes(NONCE_BYTES), invitation.number, invitation.token
    sock.sendall(_GREETING.pack(MAGIC, number, mine))
    theirs, proof = receive_exactly(sock, NONCE_BYTES), receive_exactly(sock, PROOF_BYTES)
    if not hmac.compare_digest(proof, prove(token, b"driver", number, mine, theirs, invitation.fingerprint)):
        raise NotProven("whoever listens there does not know the token of the invitation")
    sock.sendall(prove(token, b"agent", number, mine, theirs, invitation.fingerprint))


def hear_number(sock: socket.socket) -> tuple[int, bytes]:
    """The driver's side, first part: which agent this claims to be, and its nonce. Raises NotProven for what is no agent."""
    magic, number, nonce = _GREETING.unpack(receive_exactly(sock, _GREETING.size))
    if magic != MAGIC:
        raise NotProven("what dialled is no agent of Headway")
    return number, nonce


def check_agent(sock: socket.socket, token: bytes, number: int, theirs: bytes, fingerprint: bytes) -> None:
    """The driver's side, second part: prove to know the token, and have it proven. Raises NotProven."""
    mine = secrets.token_bytes(NONCE_BYTES)
    sock.sendall(mine + prove(token, b"driver", number, theirs, mine, fingerprint))
    proof = receive_exactly(sock, PROOF_BYTES)
    if not hmac.compare_digest(proof, prove(token, b"agent", number, theirs, mine, fingerprint)):
        raise NotProven("what dialled does not know the token of its invitation")


def receive_exactly(sock: socket.socket, count: int) -> bytes:
    """So many bytes. Raises NotProven where the other end hangs up before."""
    data = bytearray()
    while len(data) < count:
        try:
            got = sock.recv(count - len(data))
        except ConnectionError:
            got = b""
        if not got:
            raise NotProven("the other end hung up")
        data += got
    return bytes(data)


def send_framed(sock: socket.socket, data: bytes) -> None:
    """Send a message of the handshake, which the other end knows by now to be its own."""
    sock.sendall(struct.pack("<I", len(data)) + data)


def receive_framed(sock: socket.socket, most: int = 1 << 20) -> bytes:
    """Receive one. Raises NotProven where it is longer than any of ours."""
    (length,) = struct.unpack("<I", receive_exactly(sock, 4))
    if length > most:
        raise NotProven(f"a message of {length} bytes came in the handshake")
    return receive_exactly(sock, length)
