"""A real S3 server in a process of its own, and a way to it that can be made slow or bad."""

from __future__ import annotations

import contextlib
import http.client
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import pytest

BUCKET = "checkpoints"
Fault = Literal["", "404", "500", "reset", "hang", "lose", "cut"]
"""What happens to a request: nothing; an error; the connection breaks before or after it was done; no answer; half of one."""


@contextlib.contextmanager
def s3_server() -> Iterator[int]:
    """moto's server with an empty bucket; its port. The environment of this process points to it."""
    command = [sys.executable, "-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        port = next(int(found[1]) for line in process.stderr if (found := re.search(r"Running on http://127\.0\.0\.1:(\d+)", line)))
        drain = threading.Thread(target=process.stderr.read, daemon=True)
        drain.start()
        assert ask(port, "PUT", f"/{BUCKET}")[0] == 200
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment(port).items():
                patch.setenv(name, value)
            yield port
        process.kill()
        drain.join()


def environment(port: int) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def ask(port: int, method: str, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read()


class BadWay:
    """A proxy before a server. `faults` is asked for each request (method, path, its number from 1)."""

    def __init__(self, port: int) -> None:
        self.faults: Callable[[str, str, int], Fault] = lambda *_: ""
        self.requests: list[tuple[str, str]] = []
        self.over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, port))
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(way: BadWay, port: int) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            way.requests.append((self.command, self.path))
            fault = way.faults(self.command, self.path, len(way.requests))
            if fault == "hang":
                way.over.wait()
            if fault in ("hang", "reset"):
                self.close_connection = True
                return
            if fault in ("404", "500"):
                self._answer(int(fault), [], b"<Error><Code>Fault</Code></Error>")
                return
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            with contextlib.closing(connection):
                connection.request(self.command, self.path, body, dict(self.headers.items()))
                answer = connection.getresponse()
                data = answer.read()
            if fault == "lose":
                self.close_connection = True
                return
            self._answer(answer.status, answer.getheaders(), data, cut=fault == "cut")

        def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes, *, cut: bool = False) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            length = next((value for name, value in headers if name.lower() == "content-length"), str(len(data)))
            self.send_header("Content-Length", length if self.command == "HEAD" else str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if cut else data)
            self.close_connection = cut

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any  # noqa: N815 - the base class's names

    return Handler
