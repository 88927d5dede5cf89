"""The whole service from one command: a database, the web service, three workers, a schedule, orders, an approval, a worker killed.

    pip install 'headway[postgres,ui]'
    python examples/service/run_all.py

It uses the database of DATABASE_URL, or starts a Postgres of its own where Debian's packages (or a server on the PATH) are there.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

HERE = Path(__file__).parent
WORKERS = 3


def main() -> None:
    with contextlib.ExitStack() as stack:
        url = os.environ.get("DATABASE_URL") or stack.enter_context(own_postgres())
        os.environ["DATABASE_URL"] = os.environ["HEADWAY_STORE"] = url
        sys.path.insert(0, str(HERE))
        prepare(url)
        say(f"the database is ready; starting the web service and {WORKERS} workers")
        port = free_port()
        site = (sys.executable, "-m", "uvicorn", "web:app", "--port", str(port), "--log-level", "warning")
        stack.enter_context(running(*site))
        command = (sys.executable, "-m", "headway", "worker", "tasks.py", "--queue", "orders", "--slots", "2", "--grace", "5")
        workers = [stack.enter_context(running(*command)) for _ in range(WORKERS)]
        serve(f"http://127.0.0.1:{port}", url, workers)


def serve(site: str, url: str, workers: list[subprocess.Popen[bytes]]) -> None:
    """Order, approve, kill a worker, and see that every order is charged once."""
    import headway as hw

    until(lambda: answers(site), "the web service")
    orders = [post(f"{site}/orders", customer=f"c{n % 3}", item=f"book {n}", amount=20.0 + n)["order"] for n in range(9)]
    dear = post(f"{site}/orders", customer="c0", item="piano", amount=5000.0)["order"]
    say(f"ordered {len(orders)} books and a piano")
    until(lambda: booked(url, "charged"), "the first order")
    workers[0].kill()
    say("killed one of the workers with SIGKILL: the others take its runs")
    until(lambda: all(result(site, order) for order in orders), "the books")
    say(f"all books are charged: {result(site, orders[0])}, …")
    until(lambda: any(queue.parked for queue in hw.queues(store=url)), "the piano to wait for a person, without a process")
    say("the piano waits for an approval; no worker holds its run")
    post(f"{site}/orders/{dear}/approval", approved=True)
    until(lambda: result(site, dear), "the piano")
    say(f"approved: {result(site, dear)}")
    until(lambda: reports(url), "the schedule")
    say(f"the schedule's last report: {reports(url)}")
    charged = booked(url, "charged")
    assert sorted(charged) == sorted([*orders, dear]), f"each order is charged once: {sorted(charged)}"
    workers[1].send_signal(signal.SIGTERM)
    workers[1].wait(30)
    say("every order was charged once; a worker that was told to end has ended")


# --- the database ----------------------------------------------------------------------------------------------------


def prepare(url: str) -> None:
    """Make the shop's tables, bound the queue, add the schedule. All of it may be done again."""
    from tasks import report
    from web import TABLES

    import headway as hw

    with psycopg.connect(url) as conn:
        conn.execute(TABLES)  # several statements at once
    hw.set_queue("orders", limit=6, key_limit=2, depth=1000, store=url)
    hw.add_schedule("report", report, cron="@every 5s", queue="orders", store=url)


def booked(url: str, kind: str) -> list[int]:
    with psycopg.connect(url) as conn:
        return [order for (order,) in conn.execute("SELECT order_id FROM books WHERE kind = %s", (kind,)).fetchall()]


def reports(url: str) -> str | None:
    """What the last run of the schedule said that has ended."""
    import headway as hw

    ended = [run for run in hw.runs(store=url, status="done") if run.run_id.startswith("report@")]
    return str(hw.result_of(ended[-1].run_id, timeout=0, store=url)) if ended else None


@contextlib.contextmanager
def own_postgres() -> Iterator[str]:
    """A server of Debian's packages in a folder of its own, for as long as the demo runs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda place: int(place.parent.name))
    initdb = shutil.which("initdb") or (str(found[-1] / "initdb") if found else "")
    if not initdb:
        sys.exit("there is no Postgres here: apt-get install postgresql, or set DATABASE_URL to the URL of a database")
    folder = Path(tempfile.mkdtemp(prefix="headway-demo-"))
    as_user: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    if as_user:
        shutil.chown(folder, "postgres", "postgres")
    port, quiet = free_port(), subprocess.DEVNULL
    make = [initdb, "-D", str(folder / "data"), "-U", "shop", "-A", "trust"]
    subprocess.run(make, check=True, stdout=quiet, cwd=folder, **as_user)
    options = ["-D", str(folder / "data"), "-p", str(port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1"]
    server = subprocess.Popen([str(Path(initdb).parent / "postgres"), *options], stdout=quiet, stderr=quiet, cwd=folder, **as_user)
    url = f"postgresql://shop@127.0.0.1:{port}/postgres"
    try:
        until(lambda: connects(url), "Postgres")
        yield url
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def connects(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


# --- processes and requests ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, cwd=HERE)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def post(url: str, **body: Any) -> Any:
    asked = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return json.load(answer)


def result(site: str, order: int) -> str | None:
    with urllib.request.urlopen(f"{site}/orders/{order}", timeout=30) as answer:
        found: str | None = json.load(answer)["result"]
        return found


def answers(site: str) -> bool:
    try:
        urllib.request.urlopen(f"{site}/orders/0", timeout=5).close()
    except OSError:
        return False
    return True


def until(found: Any, what: str) -> None:
    ends = time.monotonic() + 60
    while not found():
        if time.monotonic() > ends:
            sys.exit(f"{what} did not come within a minute")
        time.sleep(0.1)


def say(text: str) -> None:
    print(f"demo: {text}", flush=True)


if __name__ == "__main__":
    main()
