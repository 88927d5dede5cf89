"""Ray as a hirer, with a real cluster on this machine: it places agents, and what becomes of them when Ray's processes die."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest
from crew import family, run
from poolbench import gone, until, within

import headway as hw
from headway.errors import WorkerDied
from headway.pools.agents.hired import Hired
from headway.pools.agents.hirer import Bundle
from headway.pools.agents.staff import Staff
from headway.pools.ray.hirer import RayFailed, RayHirer, connect

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module", autouse=True)
def handler_of_sigterm():
    """Ray puts one of its own in its place, which ends the process."""
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture(scope="module")
def cluster():
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False, object_store_memory=80 << 20)
    yield ray
    ray.shutdown()


def a_staff(*cpus, come_s=60.0):
    hirer = RayHirer([Bundle(cpu) for cpu in cpus])
    return hirer, Staff([hirer], beat_s=0.5, patience_s=30, come_s=come_s, idle_s=60)


def groups():
    """The states of the placement groups that there are."""
    from ray.util import placement_group_table

    return [each["state"] for each in placement_group_table().values()]


def agents():
    """The processes of agents below Ray's."""
    found = []
    for pid in family(os.getpid()):
        if b"headway.pools.agents" in Path(f"/proc/{pid}/cmdline").read_bytes():
            found.append(pid)
    return found


@hw.task(pool="process")
def square(x: int) -> int:
    return x * x


@hw.task
async def squares(n: int) -> int:
    return sum(await hw.gather(*(square(i) for i in range(n))))


@pytest.mark.usefixtures("cluster")
def test_a_program_runs_on_agents_that_ray_has_placed_and_gives_the_room_back(tmp_path):
    assert hw.run(squares, 5, store=tmp_path, pools={"process": Hired("ray:2x1cpu")}) == 30
    assert set(groups()) == {"REMOVED"}
    assert agents() == []


@pytest.mark.usefixtures("cluster")
def test_a_killed_actor_takes_its_agent_and_its_call_along_and_another_is_hired(tmp_path):
    hirer, staff = a_staff(1)

    async def scenario(b):
        _, future, _ = b.submit("nap", str(tmp_path / "a"))
        await until(lambda: (tmp_path / "a").exists() and (tmp_path / "a").read_text())
        pid = int((tmp_path / "a").read_text())
        (agent,) = agents()
        actor = int(Path(f"/proc/{agent}/stat").read_text().rsplit(")", 1)[1].split()[1])
        os.kill(actor, signal.SIGKILL)
        error = (await within(future)).error
        assert isinstance(error, WorkerDied)
        assert "closed its connection; only this call is lost" in str(error)
        assert gone(pid)
        assert gone(agent)
        assert await b.value("echo", 7) == 7
        assert len(hirer._hands) == 1

    run(staff, scenario)
    assert not agents()


@pytest.mark.usefixtures("cluster")
def test_what_the_cluster_has_no_room_for_is_said():
    async def scenario(b):
        answer = await b.answer("noop")
        assert str(answer.error) == (
            "agent 1 (64 CPU) did not come within 1 s: no machine of the Ray cluster has 64 CPU (the largest has 2 CPU, 0 GPU)"
        )

    run(a_staff(64, come_s=1)[1], scenario)
    assert "PENDING" not in groups()


def test_a_cluster_that_is_not_there_is_said(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(RayFailed, match=f"there is no Ray cluster at ray://127.0.0.1:{port} \\(Connection refused\\)"):
        connect(f"ray://127.0.0.1:{port}")
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
    with pytest.raises(RayFailed, match="start one with `ray start --head`"):
        connect("")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.1.0\n    Python: 3.9.1\nThis process …"),
            "has another version than this driver: Version mismatch: The cluster was started with: Ray: 2.1.0 Python: 3.9.1 This",
        ),
        (ImportError("Ray Client requires pip package `ray[client]`."), "pip install 'ray\\[client\\]'"),
        (RuntimeError("no space\nleft"), "can't be used: no space$"),
    ],
)
def test_what_ray_refuses_is_said_in_a_sentence(monkeypatch, error, says):
    def refuses(*args, **kwargs):
        raise error

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuses)  # a cluster of another version can't be had here
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(RayFailed, match=says):
        connect(f"ray://127.0.0.1:{server.getsockname()[1]}")


@pytest.mark.long
def test_a_killed_machine_of_the_cluster_takes_its_agents_along_and_others_are_hired(tmp_path):
    from ray.cluster_utils import Cluster

    ray.shutdown()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    ray.init(cluster.address, log_to_driver=False, configure_logging=False)
    try:
        _, staff = a_staff(1)

        async def scenario(b):
            _, future, _ = b.submit("nap", str(tmp_path / "a"))
            await until(lambda: (tmp_path / "a").exists() and (tmp_path / "a").read_text())
            pid = int((tmp_path / "a").read_text())
            agent = next(each for each in agents() if pid in family(each))
            (of_agent,) = [node for node in nodes if agent in family(node.all_processes["raylet"][0].process.pid)]
            cluster.remove_node(of_agent, allow_graceful=False)
            error = (await within(future)).error
            assert isinstance(error, WorkerDied)
            assert gone(pid)
            assert gone(agent)
            assert await b.value("echo", 7) == 7

        run(staff, scenario)
        assert not agents()
    finally:
        ray.shutdown()
        cluster.shutdown()
