"""What crosses the line of an agent: invitations, proofs of the token, certificates, frames."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import UsageError
from headway.ipc import shm
from headway.pools.agents.wire import frames, proof
from headway.pools.agents.wire.certificate import connect_pinned, make_certificate
from headway.pools.agents.wire.facts import PROTOCOL, AgentFacts, own_facts, refuse
from headway.pools.agents.wire.frames import BrokenLink, Frame, Link
from headway.pools.agents.wire.invitation import PREFIX, Invitation, is_loopback, read_invitation, write_invitation
from headway.pools.agents.wire.proof import NotProven, check_agent, hear_number, introduce_agent

INVITATION = Invitation(3, "127.0.0.1", 4000, b"t" * 32)


def test_an_invitation_is_one_line_that_says_all_of_it():
    line = write_invitation(INVITATION)
    assert "\n" not in line
    assert read_invitation(line + "\n") == INVITATION


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "expects an invitation on its standard input"),
        ("ls -l", "expects an invitation on its standard input"),
        ("headway-agent-2:abc", "is of another version of Headway"),
        (PREFIX + "abc", "was damaged on its way"),
        (PREFIX + "kwECAw==", "was damaged on its way"),
    ],
)
def test_what_is_no_invitation_is_said_in_a_sentence(line, says):
    with pytest.raises(UsageError, match=says):
        read_invitation(line)


@pytest.mark.parametrize("host", ["10.0.0.7", "localhost", "head.example.com", "::2"])
def test_an_invitation_to_speak_plain_text_off_this_machine_is_refused(host):
    line = write_invitation(msgspec.structs.replace(INVITATION, host=host))
    with pytest.raises(UsageError, match="without TLS"):
        read_invitation(line)
    assert not is_loopback(host)
    assert read_invitation(write_invitation(msgspec.structs.replace(INVITATION, host=host, fingerprint=b"f" * 32))).host == host


# --- the proof ---------------------------------------------------------------------------------------------------------------


def talk(of_agent, of_driver):
    """Both sides of a conversation, and what each raised."""
    here, there = socket.socketpair()
    raised = {}

    def run(name, side, sock):
        sock.settimeout(10)
        try:
            side(sock)
        except Exception as error:
            raised[name] = error
        finally:
            sock.close()

    thread = threading.Thread(target=run, args=("agent", of_agent, there))
    thread.start()
    run("driver", of_driver, here)
    thread.join()
    return raised


def driver(token, fingerprint=b""):
    def side(sock):
        number, nonce = hear_number(sock)
        assert number == 3
        check_agent(sock, token, number, nonce, fingerprint)

    return side


def test_both_prove_that_they_know_the_token():
    assert talk(lambda sock: introduce_agent(sock, INVITATION), driver(b"t" * 32)) == {}


def test_a_driver_without_the_token_learns_nothing_from_an_agent():
    raised = talk(lambda sock: introduce_agent(sock, INVITATION), driver(b"x" * 32))
    assert "does not know the token of the invitation" in str(raised["agent"])
    assert isinstance(raised["driver"], NotProven)


def test_an_agent_without_the_token_is_not_taken_in():
    def pretends(sock):
        sock.sendall(proof._GREETING.pack(proof.MAGIC, 3, b"n" * 32))
        proof.receive_exactly(sock, 64)
        sock.sendall(b"p" * 32)

    raised = talk(pretends, driver(b"t" * 32))
    assert "does not know the token of its invitation" in str(raised["driver"])


def test_a_driver_s_own_proof_sent_back_proves_nothing():
    def reflects(sock):
        sock.sendall(proof._GREETING.pack(proof.MAGIC, 3, b"n" * 32))
        said = proof.receive_exactly(sock, 64)
        sock.sendall(said[32:])

    assert isinstance(talk(reflects, driver(b"t" * 32))["driver"], NotProven)


def test_who_stands_between_with_another_certificate_proves_nothing():
    pinned = msgspec.structs.replace(INVITATION, fingerprint=b"f" * 32)
    raised = talk(lambda sock: introduce_agent(sock, pinned), driver(b"t" * 32, b"g" * 32))
    assert isinstance(raised["agent"], NotProven)


def test_what_is_no_agent_at_all_is_told_nothing():
    raised = talk(lambda sock: sock.sendall(b"GET / HTTP/1.1\r\nHost: driver.example.com\r\n\r\n"), driver(b"t" * 32))
    assert "no agent of Headway" in str(raised["driver"])


def test_an_agent_talks_only_to_the_driver_with_the_pinned_certificate():
    mine, other = make_certificate(), make_certificate()

    def serves(sock):
        with other.context.wrap_socket(sock, server_side=True) as secure:
            secure.recv(1)

    raised = talk(lambda sock: connect_pinned(sock, mine.fingerprint), serves)
    assert "another certificate than the invitation says" in str(raised["agent"])
    pinned = []

    def dials(sock):
        secure = connect_pinned(sock, other.fingerprint)
        pinned.append(secure.version())
        secure.sendall(b"x")
        secure.close()

    assert talk(dials, serves) == {}
    assert pinned == ["TLSv1.3"]


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("headway", "0.0.1", "has Headway 0.0.1 (protocol 1), and this driver"),
        ("protocol", PROTOCOL + 1, "protocol 2"),
        ("python", "3.9", "runs Python 3.9, and this driver 3."),
    ],
)
def test_an_agent_of_another_version_is_refused_in_a_sentence(field, value, says):
    facts = own_facts("127.0.0.1")
    assert refuse(facts) == ""
    assert says in refuse(msgspec.structs.replace(facts, **{field: value}))


def test_graphics_processors_are_those_that_the_environment_leaves(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4, GPU-ab")
    assert own_facts("127.0.0.1").gpus == ("4", "GPU-ab")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert own_facts("127.0.0.1").gpus == ()
    assert isinstance(own_facts("127.0.0.1"), AgentFacts)


# --- frames ------------------------------------------------------------------------------------------------------------------


def block(data):
    fd = shm.anonymous_file("test")
    os.write(fd, data)
    return fd


def read(frame):
    """A frame as plain data, its block read and closed."""
    if frame.fd is None:
        return frame.kind, frame.worker, frame.body, None
    data = os.pread(frame.fd, os.fstat(frame.fd).st_size, 0)
    os.close(frame.fd)
    return frame.kind, frame.worker, frame.body, data


def pump(sender, receiver, count):
    """Move bytes until so many frames have arrived, and return them."""
    found = []
    while len(found) < count:
        sender.flush()
        found += [read(frame) for frame in receiver.receive()]
    return found


MESSAGES = st.lists(
    st.tuples(st.integers(1, 3), st.binary(max_size=40), st.none() | st.binary(min_size=1, max_size=40)), max_size=12
)


@given(MESSAGES, st.integers(1, 50))
def test_messages_of_each_worker_arrive_whole_and_in_order_with_their_blocks(sent, piece):
    here, there = socket.socketpair()
    one, other = Link(here), Link(there)
    before, frames.PIECE_BYTES = frames.PIECE_BYTES, piece
    try:
        for worker, body, data in sent:
            one.send(frames.MESSAGE, worker, body, None if data is None else block(data))
        found = pump(one, other, len(sent))
    finally:
        frames.PIECE_BYTES = before
        one.close()
        other.close()
    for number in (1, 2, 3):
        assert [each[2:] for each in found if each[1] == number] == [each[1:] for each in sent if each[0] == number]


def test_a_large_block_does_not_hold_up_other_workers():
    here, there = socket.socketpair()
    one, other = Link(here), Link(there)
    one.send(frames.MESSAGE, 1, b"large", block(bytes(20 << 20)))
    one.send(frames.MESSAGE, 2, b"small")
    one.send(frames.BEAT)
    found = pump(one, other, 3)
    assert [each[:3] for each in found] == [(frames.MESSAGE, 2, b"small"), (frames.BEAT, 0, b""), (frames.MESSAGE, 1, b"large")]
    assert len(found[2][3]) == 20 << 20
    one.close()
    other.close()


@pytest.mark.parametrize(
    "data",
    [
        frames._HEADER.pack(99, 1, 0),
        frames._HEADER.pack(frames.MESSAGE, 1, 1 << 40),
        frames._HEADER.pack(frames.PIECE, 1, 1) + b"x",
        frames._HEADER.pack(frames.LARGE, 1, 8) + (1).to_bytes(8, "little") + frames._HEADER.pack(frames.PIECE, 1, 2) + b"xx",
    ],
)
def test_what_no_agent_sends_breaks_the_line(data):
    here, there = socket.socketpair()
    link = Link(there)
    here.sendall(data)
    with pytest.raises(BrokenLink):
        link.receive()
    link.close()
    here.close()


def test_a_closed_line_keeps_no_descriptor():
    here, there = socket.socketpair()
    one, other = Link(here), Link(there)
    before = len(list(Path("/proc/self/fd").iterdir()))
    one.send(frames.MESSAGE, 1, b"large", block(bytes(20 << 20)))
    other.receive()
    one.close()
    other.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before - 2
    assert Frame(0, 0, b"").fd is None


def test_frames_arrive_over_tls_too():
    certificate = make_certificate()
    here, there = socket.socketpair()
    made: list[ssl.SSLSocket] = []
    thread = threading.Thread(target=lambda: made.append(certificate.context.wrap_socket(here, server_side=True)))
    thread.start()
    other = Link(connect_pinned(there, certificate.fingerprint))
    thread.join()
    one = Link(made[0])
    one.send(frames.MESSAGE, 1, b"large", block(os.urandom(1000) * 3000))
    one.send(frames.MESSAGE, 2, b"small")
    found = pump(one, other, 2)
    assert [each[1] for each in found] == [2, 1]
    assert len(found[1][3]) == 3_000_000
    one.close()
    other.close()
