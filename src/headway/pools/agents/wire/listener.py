"""Where agents dial: a port of the driver, open while a run has agents to come.

Whoever dials proves to know the token of one invitation, and an invitation is good for one connection. All that takes place in a
thread of its own with a time limit, so a stranger who says nothing holds up nobody. Off this machine nothing is said in plain text.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl
import threading
from collections.abc import Callable

import msgspec

from headway.errors import UsageError
from headway.ipc.beside import BESIDE
from headway.pools.agents.wire.certificate import Certificate, make_certificate
from headway.pools.agents.wire.facts import AgentFacts, Welcome, refuse
from headway.pools.agents.wire.frames import Link
from headway.pools.agents.wire.invitation import Invitation, is_loopback, write_invitation
from headway.pools.agents.wire.proof import TOKEN_BYTES, NotProven, check_agent, hear_number, receive_framed, send_framed

HANDSHAKE_S = 10.0
MOST_HANDSHAKES = 64

OnCome = Callable[[int, Link, AgentFacts], None]
OnRefused = Callable[[int, str], None]


class Listener:
    """Takes agents in. Both callbacks are called on the loop: with one that came, and with why one is not wanted.

    Args:
        host: the address to listen on.
        welcome: what agents are told.
        encrypt: whether to use TLS; it is always used off the loopback.
    """

    def __init__(self, host: str, welcome: Welcome, on_come: OnCome, on_refused: OnRefused, *, encrypt: bool = False) -> None:
        self._host, self._welcome, self._on_come, self._on_refused = host, welcome, on_come, on_refused
        self._certificate: Certificate | None = make_certificate() if encrypt or not is_loopback(host) else None
        self._tokens: dict[int, bytes] = {}  # of invitations that nobody has answered yet
        self._lock = threading.Lock()
        self._busy = 0
        try:
            family = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0][0]
            self._socket = socket.create_server((host, 0), family=family, backlog=128)
        except OSError as error:
            raise UsageError(f"agents can't dial {host}: this machine can't listen there ({error.strerror or error})") from error
        self._socket.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._accept)

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def invite(self, number: int) -> str:
        """A new invitation, as the line for the agent's standard input."""
        with self._lock:
            token = self._tokens[number] = secrets.token_bytes(TOKEN_BYTES)
        fingerprint = self._certificate.fingerprint if self._certificate is not None else b""
        return write_invitation(Invitation(number, self._host, self.port, token, fingerprint))

    def withdraw(self, number: int) -> None:
        """An invitation holds no longer."""
        with self._lock:
            self._tokens.pop(number, None)

    def close(self) -> None:
        """Take nobody in any more."""
        with self._lock:
            self._tokens.clear()
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _accept(self) -> None:
        try:
            sock, _ = self._socket.accept()
        except OSError:
            return
        if self._busy >= MOST_HANDSHAKES:
            sock.close()
            return
        self._busy += 1
        self._loop.run_in_executor(BESIDE, self._greet, sock).add_done_callback(self._note_greeted)

    def _note_greeted(self, _: object) -> None:
        self._busy -= 1

    def _greet(self, plain: socket.socket) -> None:
        """Take one in, in a thread. What does not know a token is told nothing."""
        plain.settimeout(HANDSHAKE_S)
        sock = plain
        try:
            if self._certificate is not None:
                sock = self._certificate.context.wrap_socket(plain, server_side=True)
            number, facts = self._hear(sock)
        except (NotProven, msgspec.DecodeError, OSError):  # a stranger, or an agent whose invitation was withdrawn
            sock.close()
            return
        why = refuse(facts)
        try:
            send_framed(sock, msgspec.msgpack.encode(msgspec.structs.replace(self._welcome, refusal=why) if why else self._welcome))
            plain_or_secure = sock
            plain_or_secure.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain_or_secure.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        except OSError as error:
            why = why or f"the agent on {facts.host} hung up ({error})"
        try:
            if why:
                sock.close()
                self._loop.call_soon_threadsafe(self._on_refused, number, why)
            else:
                self._loop.call_soon_threadsafe(self._on_come, number, Link(sock), facts)
        except RuntimeError:  # the loop has ended
            sock.close()

    def _hear(self, sock: socket.socket | ssl.SSLSocket) -> tuple[int, AgentFacts]:
        number, theirs = hear_number(sock)
        with self._lock:
            token = self._tokens.get(number)
        if token is None:
            raise NotProven("nobody was invited under this number")
        check_agent(sock, token, number, theirs, self._certificate.fingerprint if self._certificate is not None else b"")
        with self._lock:
            if self._tokens.get(number) is not token:
                raise NotProven("the invitation was used by another one meanwhile")
            del self._tokens[number]
        return number, msgspec.msgpack.decode(receive_framed(sock), type=AgentFacts)
