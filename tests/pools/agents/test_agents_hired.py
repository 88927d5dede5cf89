"""Process tasks on agents: the promises of a pool, values and code across the line, hiring by demand."""

from __future__ import annotations

import asyncio
import os
import sys

import numpy as np
import pytest
from crew import AGENT, a_staff, alive, run
from poolbench import Bench, until, within

import headway as hw
from headway.errors import UsageError, WorkerDied
from headway.events import WorkerStarted
from headway.journal.codec import codec
from headway.pools.agents import far_worker
from headway.pools.agents.hired import Hired
from headway.pools.agents.hirer import Bundle
from headway.pools.agents.hirers.command import CommandHirer, own_address, split_command
from headway.pools.agents.process import FarProcessPool
from headway.pools.agents.wire.invitation import is_loopback
from headway.pools.base import A_SLOT, FunctionRef
from headway.testing.check_pool import check_pool

MB = 1 << 20


PROMISES = ["cancels as its traits say", "tells code of its call", "has the caller's context variables", "starts again"]


@pytest.mark.parametrize("only", [PROMISES, pytest.param(None, marks=pytest.mark.long)])
def test_agents_keep_the_promises_of_a_process_pool(only):
    looked = check_pool(lambda: FarProcessPool(a_staff(1, 1)[1]), only=only)
    assert looked == only if only else len(looked) == 14


def test_values_large_and_small_arrive_equal_and_encoded():
    async def scenario(b):
        assert await b.value("both", (1, {"x"}), b=None) == [(1, {"x"}), None]
        array = np.arange(MB, dtype=np.float64)  # 8 MB: a shared block at both ends
        answer = await b.answer("double", array)
        assert np.array_equal(answer.value, np.arange(MB) * 2.0)
        assert array[1] == 1
        answer.value[:] = 7
        assert codec.decode(*answer.encoded)[3] == 6.0  # what is journaled is what the worker returned
        _, future, charges = b.submit("charge", 3)
        assert (await within(future)).value == {}
        assert sum(each["nodes"] for each in charges) == 3.0

    run(a_staff(1)[1], scenario)


def test_code_that_is_not_the_driver_s_is_refused_and_says_so(monkeypatch):
    async def scenario(b):
        job, future, _ = b.job("echo", 1)
        b.pool.submit(job)
        assert (await within(future)).value == 1
        monkeypatch.setattr("headway.pools.agents.far_worker.code_digest", lambda ref: "0" * 32)
        job, future, _ = b.job("noop")
        b.pool.submit(job)
        error = (await within(future)).error
        assert isinstance(error, UsageError)
        assert "jobs.py on" in str(error)
        assert "is not the file that the driver has" in str(error)

    try:
        run(a_staff(1)[1], scenario)
    finally:
        far_worker._digested.cache_clear()


def test_a_program_under_another_folder_is_found_by_its_place_under_the_working_folder(tmp_path, monkeypatch):
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        (folder / "code").mkdir(parents=True)
    (there / "code" / "elsewhere_only.py").write_text("def where():\n    return __file__\n")
    monkeypatch.chdir(here)
    hirer = CommandHirer(["sh", "-c", f"cd {there} && exec {AGENT}"], Bundle(1), "127.0.0.1")

    async def scenario(b):
        job, future, _ = b.job("echo", 1)
        job.args, job.ref = (), FunctionRef("elsewhere_only", "where", str(here / "code" / "elsewhere_only.py"))
        b.pool.submit(job)
        assert (await within(future)).value == str(there / "code" / "elsewhere_only.py")

    run(a_staff(hirer=hirer)[1], scenario)


# --- hiring by demand --------------------------------------------------------------------------------------------------------


def test_nobody_is_hired_before_there_is_work_and_then_as_many_as_it_takes():
    hirer, staff = a_staff(1, 1)

    async def scenario(b):
        assert b.pool.free(A_SLOT) == 2
        assert hirer.pids == []
        first = await b.value("pid")
        assert len(hirer.pids) == 1
        assert await b.value("pid") == first  # the worker that waits is used again
        assert len(hirer.pids) == 1
        both = [b.submit("pid")[1] for _ in range(2)]
        assert b.pool.free(A_SLOT) == 0
        assert len({(await within(each)).value for each in both}) == 2
        assert len(hirer.pids) == 2
        assert {event.pool for event in b.events if isinstance(event, WorkerStarted)} == {"process"}

    run(staff, scenario)
    assert not any(alive(pid) for pid in hirer.pids)


def test_an_agent_without_work_is_dismissed_and_the_next_call_hires_again():
    hirer, staff = a_staff(1, idle_s=0.01)

    async def scenario(b):
        first = await b.value("pid")
        await until(lambda: not alive(hirer.pids[0]))
        assert not alive(first)
        assert b.pool.free(A_SLOT) == 1
        assert await b.value("pid") != first
        assert len(hirer.pids) == 2

    run(staff, scenario)


def test_an_agent_tells_how_many_processes_its_machine_has_room_for():
    hirer = CommandHirer(AGENT.split(), Bundle(0), "127.0.0.1")

    async def scenario(b):
        assert b.pool.free(A_SLOT) == 1
        await b.value("noop")
        assert b.pool.free(A_SLOT) == len(os.sched_getaffinity(0))
        assert b.freed > 0

    run(a_staff(hirer=hirer)[1], scenario)


def test_off_the_loopback_agents_speak_tls():
    address = own_address()
    if is_loopback(address):
        pytest.skip("this machine has no address but the loopback")
    hirer = CommandHirer(AGENT.split(), Bundle(1))
    staff = a_staff(hirer=hirer)[1]

    async def scenario(b):
        assert await b.value("echo", bytes(MB)) == bytes(MB)
        (post,) = staff.posts
        assert post.agent.link.sock.version() == "TLSv1.3"
        assert post.agent.facts.address == address

    run(staff, scenario)


# --- what does not come -------------------------------------------------------------------------------------------------------


def refused(hirer, **options):
    """The error of a job for which no agent comes."""

    async def scenario(b):
        answer = await b.answer("noop")
        assert isinstance(answer.error, WorkerDied)
        assert b.pool.free(A_SLOT) == 1  # the next call tries again
        return str(answer.error)

    return run(a_staff(hirer=hirer, **options)[1], scenario)


def test_a_command_that_ends_is_quoted_with_its_last_words():
    command = ["sh", "-c", "echo 'Host key verification failed.' >&2; exit 255"]
    assert refused(CommandHirer(command, Bundle(1), "127.0.0.1")).endswith(
        "ended with exit code 255: Host key verification failed."
    )


def test_an_agent_that_never_comes_is_given_up():
    hirer = CommandHirer(["cat"], Bundle(1), "127.0.0.1")
    assert refused(hirer, come_s=0.3) == "agent 1 (1 CPU) did not come within 0.3 s"
    assert hirer._started == []


def test_an_agent_of_another_version_is_refused_on_both_sides(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import headway\nheadway.__version__ = '0.0.1'\n")
    command = ["env", f"PYTHONPATH={tmp_path}:{os.environ.get('PYTHONPATH', '')}", *AGENT.split()]
    said = refused(CommandHirer(command, Bundle(1), "127.0.0.1"))
    assert "has Headway 0.0.1 (protocol 1), and this driver" in said


def test_a_driver_that_does_not_listen_any_more_is_said_by_the_agent():
    from headway.pools.agents.wire.invitation import Invitation, write_invitation

    async def main():
        process = await asyncio.create_subprocess_exec(
            *AGENT.split(), stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        line = write_invitation(Invitation(1, "127.0.0.1", 1, b"t" * 32))
        _, said = await within(asyncio.ensure_future(process.communicate(line.encode() + b"\n")))
        return process.returncode, said.decode()

    code, said = asyncio.run(main())
    assert code == 2
    assert said.startswith("headway agent: the driver at 127.0.0.1:1 can't be reached:")
    assert "Traceback" not in said


# --- what the user writes ------------------------------------------------------------------------------------------------------


@hw.task(pool="process")
def square(x: int) -> int:
    print(f"square {x} was here")
    return x * x


@hw.task
async def squares(n: int) -> int:
    return sum(await hw.gather(*(square(i) for i in range(n))))


def test_a_program_needs_no_change_to_run_on_agents(tmp_path, capfd):
    hired = Hired("local:2x1cpu")
    assert hw.run(squares, 4, store=tmp_path, run_id="a", pools={"process": hired, "gang": hired}) == 14
    assert sorted(capfd.readouterr().out.splitlines()) == [f"square {i} was here" for i in range(4)]
    assert hw.run(squares, 4, store=tmp_path, run_id="a") == 14  # from the journal, wherever it was computed


@pytest.mark.parametrize(
    ("hire", "says"),
    [
        ("local:", "how much is not ''"),
        ("local:0cpu", "how much is not '0cpu'"),
        ("local:0x2cpu", "how much is not '0x2cpu'"),
        ("local:999999x9cpu", "more than one driver can use"),
        ("slurm:4cpu", "nobody hires there"),
        ("local", "nobody hires there"),
        ("cmd:", "there is no command after cmd:"),
        ("cmd:no-such-command here", "this machine has no command 'no-such-command'"),
        ("cmd:2x4cpu:cat", "a command starts one agent"),
        ("cmd:ssh 'host", "No closing quotation"),
        ("ray:much", "how much is not 'much'"),
        ("ray://head:10001", "write ray://HOST:PORT/8cpu"),
    ],
)
def test_what_can_t_be_hired_is_refused_before_anything_begins(hire, says):
    with pytest.raises(UsageError, match="hire") as raised:
        Hired(hire)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_nonsense_about_agents_is_refused():
    with pytest.raises(UsageError, match="says nowhere to hire"):
        Hired()
    with pytest.raises(UsageError, match="is no hirer: it has no bundles and no reach and no hire and no close"):
        Hired(7)
    with pytest.raises(UsageError, match="idle_s=0"):
        Hired("local:1cpu", idle_s=0)
    with pytest.raises(UsageError, match="can be hired only for 'process' and 'gang'"):
        hw.run(squares, 1, store=None, pools={"thread": Hired("local:1cpu")})
    assert split_command("ls -l 'a b'", "") == ["ls", "-l", "a b"]


def test_without_ray_the_pip_line_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"hiring with Ray needs ray: pip install 'headway\[ray\]'"):
        Hired("ray:8cpu")


def test_without_the_library_for_certificates_the_pip_line_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)

    async def scenario():
        bench = Bench(FarProcessPool(a_staff(hirer=CommandHirer(["cat"], Bundle(1), "192.0.2.77"))[1]))
        answer = await bench.answer("noop")
        await bench.pool.close()
        return str(answer.error)

    assert "An agent on another machine needs cryptography: pip install 'headway[machines]'" in asyncio.run(scenario())


def test_an_address_that_is_not_this_machine_s_is_said():
    with pytest.raises(hw.WorkerDied, match=r"agents can't dial 203\.0\.113\.9: this machine can't listen there"):
        hw.run(squares, 1, store=None, progress=False, pools={"process": Hired("cmd:cat", address="203.0.113.9")})
