"""Seeded bugs of agents: what driver and agent ask of each other before either works for the other.

An agent imports a Headway of its own, without the bug. So each is put on the driver's side, or into what a test calls itself.
"""

from __future__ import annotations

from seeded import Bug, bug

_AHEAD, _WIRE = "pools/agents/test_ahead.py", "pools/agents/test_wire.py"

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
    bug(
        "what waits at a worker ends with it",
        "Followers.take_back",
        "Answer(cancelled=True) if follower.cancelled else NOT_BEGUN",
        "Answer(cancelled=True)",
        tests=f"{_AHEAD}::test_what_waits_at_a_worker_that_dies_goes_to_another_and_only_the_one_that_ran_is_lost",
    ),
    bug(
        "what came back from a worker goes behind another call again",
        "FarProcessPool.takes_ahead",
        "not self._back",
        "True",
        tests=f"{_AHEAD}::test_what_came_back_is_never_sent_ahead_again_so_what_kills_its_worker_is_known",
    ),
    bug(
        "a call that was next when it was given back is never begun",
        "RemoteWorker._take",
        "self._answer(message.number, NOT_BEGUN)",
        "None",
        tests=f"{_AHEAD}::test_a_job_that_was_next_when_it_was_given_back_begins_elsewhere",
    ),
    bug(
        "a call that was cancelled while it waited runs to its end",
        "RemoteWorker._begin_next",
        "first.cancelled",
        "False",
        tests=f"{_AHEAD}::test_a_job_that_begins_while_it_is_cancelled_is_interrupted",
    ),
    bug(
        "a call waits behind a long one while it could run elsewhere",
        "FarProcessPool._look",
        "now - worker.began_at > LATE_S",
        "False",
        tests=f"{_AHEAD}::test_what_waits_behind_a_job_that_takes_long_is_asked_for_again",
    ),
    bug(
        "a call that waited counts from when it was sent",
        "RemoteWorker._begin_next",
        "first.job.on_begun is not None",
        "False",
        tests=f"{_AHEAD}::test_jobs_that_wait_at_a_worker_are_answered_in_turn_and_begin_when_the_one_before_has_ended",
    ),
    bug(
        "a timeout runs while its call waits",
        "TaskSpec.may_wait",
        "self.timeout_s is None",
        "True",
        tests=f"{_AHEAD}::test_a_call_with_a_timeout_of_its_own_is_never_sent_ahead",
    ),
    bug(
        "an agent has one warm worker",
        "FarProcessPool._is_one_too_many",
        "isinstance(worker, FarWorker) and worker.post.has_too_many()",
        "len(self._workers) > self.size",
        tests=f"{_AHEAD}::test_a_program_of_more_calls_than_slots_keeps_its_workers",
    ),
)
