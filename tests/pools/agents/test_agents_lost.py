"""What becomes of calls when a worker, an agent, the connection or the driver is lost, and that nothing of it stays."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import doomed
import msgspec
from crew import AGENT, Watched, a_staff, alive, family, run
from poolbench import gone, until, within

import headway as hw
from headway.errors import WorkerDied
from headway.pools.agents import far_worker
from headway.pools.agents.hired import Hired
from headway.pools.agents.hirer import Bundle, Offer
from headway.pools.agents.wire import proof
from headway.pools.agents.wire.invitation import read_invitation, write_invitation

SRC = str(Path(__file__).parents[3] / "src")


async def napping(b, path):
    """A job that sleeps on an agent: its job, the future of its answer, its process id."""
    job, future, _ = b.submit("nap", str(path))
    await until(lambda: path.exists() and path.read_text())
    return job, future, int(path.read_text())


def died(answer):
    assert isinstance(answer.error, WorkerDied)
    return str(answer.error)


def test_a_killed_worker_takes_one_call_with_it_and_its_agent_goes_on(tmp_path):
    hirer, staff = a_staff(2)

    async def scenario(b):
        _, future, pid = await napping(b, tmp_path / "a")
        _, other, other_pid = await napping(b, tmp_path / "b")
        os.kill(pid, signal.SIGKILL)
        assert f"the worker process {pid} that ran task nap was killed by SIGKILL; only this call is lost" in died(
            await within(future)
        )
        assert not other.done()
        assert await b.value("noop") is None
        assert alive(other_pid)
        assert len(hirer.pids) == 1

    run(staff, scenario)


def test_a_killed_agent_takes_its_calls_with_it_and_the_next_call_hires_another(tmp_path):
    hirer, staff = a_staff(1)

    async def scenario(b):
        _, future, pid = await napping(b, tmp_path / "a")
        everything = family(hirer.pids[0])
        os.kill(hirer.pids[0], signal.SIGKILL)
        said = died(await within(future))
        assert f"the worker process {pid} that ran task nap was on agent 1 on " in said
        assert "closed its connection; only this call is lost" in said
        assert all(gone(each) for each in [pid, *everything])
        assert await b.value("noop") is None
        assert len(hirer.pids) == 2

    run(staff, scenario)


def test_a_stopped_agent_is_missed_and_ended(tmp_path):
    hirer, staff = a_staff(1, beat_s=0.05, patience_s=1.0)

    async def scenario(b):
        _, future, pid = await napping(b, tmp_path / "a")
        os.kill(hirer.pids[0], signal.SIGSTOP)
        assert "gave no sign of life for 1 s" in died(await within(future))
        assert gone(pid)
        assert gone(hirer.pids[0])

    run(staff, scenario)


def test_a_driver_whose_loop_is_held_up_loses_no_agent(tmp_path):
    hirer, staff = a_staff(1, beat_s=0.05, patience_s=1.0)

    async def scenario(b):
        _, future, _ = await napping(b, tmp_path / "a")
        time.sleep(2.0)  # noqa: ASYNC251 - that is the point: longer than an agent may be silent
        await asyncio.sleep(0.2)
        assert not future.done()
        assert len(hirer.pids) == 1

    run(staff, scenario)


def test_an_agent_that_does_not_kill_does_not_keep_a_run_from_ending(tmp_path, monkeypatch):
    monkeypatch.setattr(far_worker, "KILL_S", 0.2)
    hirer, staff = a_staff(1)

    async def scenario(b):
        job, future, pid = await napping(b, tmp_path / "a")
        os.kill(hirer.pids[0], signal.SIGSTOP)
        b.pool.cancel(job)
        assert (await within(future)).cancelled
        assert gone(pid)

    run(staff, scenario)


def test_the_calls_of_a_lost_agent_are_retried_as_those_of_a_dead_worker(tmp_path):
    again = doomed.kill_my_agent.options(retry=hw.Retry(attempts=2, delay_s=0.01, on=(hw.WorkerDied,)))
    assert hw.run(again, str(tmp_path), 1, store=None, pools={"process": Hired("local:1cpu")}) == 2
    assert sorted(path.name[0] for path in tmp_path.iterdir()) == ["1", "2"]
    assert not [path for path in tmp_path.iterdir() if alive(int(path.name[2:]))]


# --- the connection ----------------------------------------------------------------------------------------------------------


class Proxy(Watched):
    """Hires agents that dial through a relay of this test, which can be cut, or go dead without a word."""

    def __init__(self):
        super().__init__([Bundle(1)])
        self.dead = threading.Event()
        self.pairs = []

    def hire(self, offers):
        return super().hire([Offer(offer.bundle, self._through(offer.invitation)) for offer in offers])

    def _through(self, line):
        invitation = read_invitation(line)
        server = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, args=(server, invitation.port), daemon=True).start()
        return write_invitation(msgspec.structs.replace(invitation, port=server.getsockname()[1]))

    def _serve(self, server, port):
        with server:
            agent, _ = server.accept()
        driver = socket.create_connection(("127.0.0.1", port))
        self.pairs.append((agent, driver))
        for one, other in ((agent, driver), (driver, agent)):
            threading.Thread(target=self._relay, args=(one, other), daemon=True).start()

    def _relay(self, one, other):
        try:
            while data := one.recv(1 << 16):
                if not self.dead.is_set():
                    other.sendall(data)
        except OSError:
            return

    def cut(self):
        for pair in self.pairs:
            for sock in pair:
                sock.shutdown(socket.SHUT_RDWR)

    def close(self):
        super().close()
        for pair in self.pairs:
            for sock in pair:
                sock.close()


def test_a_cut_connection_ends_the_call_at_both_ends(tmp_path):
    hirer = Proxy()

    async def scenario(b):
        _, future, pid = await napping(b, tmp_path / "a")
        hirer.cut()
        assert "closed its connection" in died(await within(future))
        assert gone(pid)
        assert gone(hirer.pids[0])

    run(a_staff(hirer=hirer)[1], scenario)


def test_a_connection_that_goes_dead_is_noticed_at_both_ends(tmp_path):
    hirer = Proxy()
    staff = a_staff(hirer=hirer, beat_s=0.05, patience_s=0.6)[1]

    async def scenario(b):
        _, future, pid = await napping(b, tmp_path / "a")
        (agent,) = hirer._started
        dismiss, agent.dismiss = agent.dismiss, lambda gently: None  # as where the driver can't reach the machine either
        hirer.dead.set()
        assert "gave no sign of life for 0.6 s" in died(await within(future))
        assert gone(pid)  # the agent has heard nothing of the driver for long
        assert gone(hirer.pids[0])
        dismiss(gently=False)

    run(staff, scenario)


def test_an_invitation_is_good_for_one_agent():
    lines = []

    class Overheard(Watched):
        def hire(self, offers):
            lines.extend(offer.invitation for offer in offers)
            return super().hire(offers)

    hirer = Overheard([Bundle(1)])

    async def scenario(b):
        await b.value("noop")
        (line,) = lines
        intruder = await asyncio.create_subprocess_exec(
            *AGENT.split(), stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        _, said = await within(asyncio.ensure_future(intruder.communicate(line.encode() + b"\n")))
        assert intruder.returncode == 2
        assert b"can't be reached: the other end hung up" in said
        assert await b.value("echo", 1) == 1  # and who was invited works on

    run(a_staff(hirer=hirer)[1], scenario)


def test_strangers_who_dial_are_told_nothing_and_hold_up_nobody():
    _, staff = a_staff(1)

    async def scenario(b):
        await b.value("noop")
        (listener,) = staff._listeners.values()
        silent = [socket.create_connection(("127.0.0.1", listener.port)) for _ in range(3)]
        with socket.create_connection(("127.0.0.1", listener.port)) as loud:
            loud.settimeout(30)
            loud.sendall(b"GET / HTTP/1.1\r\nHost: driver.example.com\r\n\r\n"[: proof._GREETING.size])
            assert await asyncio.to_thread(loud.recv, 1) == b""
        assert await b.value("echo", 1) == 1
        for each in silent:
            each.close()

    run(staff, scenario)


# --- the driver --------------------------------------------------------------------------------------------------------------

DRIVER = """
import sys
sys.path[:0] = [{tests!r}, {here!r}]
from pathlib import Path
import headway as hw
from jobs import nap
from headway.pools.agents.hired import Hired

@hw.task(pool="process")
def hold(path: str) -> None:
    import subprocess, sys
    subprocess.Popen(["sleep", "1000"])
    nap(path)

@hw.task
async def both(folder: str) -> None:
    await hw.gather(*(hold(folder + f"/{{i}}") for i in range(2)))

if __name__ == "__main__":
    hw.run(both, sys.argv[1], store=None, pools={{"process": Hired("local:2x1cpu")}})
"""


def test_when_the_driver_is_killed_nothing_is_left_of_it_anywhere(tmp_path):
    here = Path(__file__).parent
    program = tmp_path / "driver.py"
    program.write_text(textwrap.dedent(DRIVER.format(tests=str(here.parent), here=str(here))))
    folder = tmp_path / "said"
    folder.mkdir()
    env = {**os.environ, "PYTHONPATH": SRC}
    driver = subprocess.Popen([sys.executable, str(program), str(folder)], env=env, stderr=subprocess.DEVNULL)
    try:
        asyncio.run(until(lambda: len([path for path in folder.iterdir() if path.read_text()]) == 2))
        everything = family(driver.pid)
        assert len(everything) >= 8  # two agents, two servers, two workers, what those have started
        driver.kill()
        driver.wait(30)
        assert all(gone(pid, 30) for pid in everything)
    finally:
        driver.kill()
