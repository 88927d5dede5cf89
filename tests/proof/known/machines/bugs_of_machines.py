"""Seeded bugs of agents: what driver and agent ask of each other before either works for the other.

An agent imports a Headway of its own, without the bug. So each is put on the driver's side, or into what a test calls itself.
"""

from __future__ import annotations

from seeded import Bug, bug

_WIRE = "pools/agents/test_wire.py"

OF_MACHINES: tuple[Bug, ...] = (
    bug(
        "an agent works for a driver that can't prove the token",
        "introduce_agent",
        'hmac.compare_digest(proof, prove(token, b"driver", number, mine, theirs, invitation.fingerprint))',
        "True",
        tests=f"{_WIRE}::test_a_driver_without_the_token_learns_nothing_from_an_agent",
    ),
    bug(
        "a driver takes in an agent that can't prove the token",
        "check_agent",
        'hmac.compare_digest(proof, prove(token, b"agent", number, theirs, mine, fingerprint))',
        "True",
        tests=f"{_WIRE}::test_an_agent_without_the_token_is_not_taken_in",
    ),
    bug(
        "who stands between may have another certificate",
        "prove",
        'b"".join((who.ljust(8), struct.pack("<I", number), of_agent, of_driver, fingerprint))',
        'b"".join((who.ljust(8), struct.pack("<I", number), of_agent, of_driver))',
        tests=f"{_WIRE}::test_who_stands_between_with_another_certificate_proves_nothing",
    ),
    bug(
        "a driver's own proof proves its agent",
        "prove",
        'b"".join((who.ljust(8), struct.pack("<I", number), of_agent, of_driver, fingerprint))',
        'b"".join((struct.pack("<I", number), of_agent, of_driver, fingerprint))',
        tests=f"{_WIRE}::test_a_driver_s_own_proof_sent_back_proves_nothing",
    ),
    bug(
        "an agent speaks plain text off its machine",
        "read_invitation",
        "not found.fingerprint and not is_loopback(found.host)",
        "False",
        tests=f"{_WIRE}::test_an_invitation_to_speak_plain_text_off_this_machine_is_refused",
    ),
    bug(
        "an agent runs whatever code its machine has",
        "_digested",
        "dataclasses.replace(ref, digest=code_digest(ref))",
        "ref",
        tests="pools/agents/test_agents_hired.py::test_code_that_is_not_the_driver_s_is_refused_and_says_so",
    ),
)
