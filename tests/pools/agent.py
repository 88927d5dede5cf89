"""The other end of `own.SocketPool`: for each connection, a process that runs one packed job."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading

RUN = "import sys; from headway.pools import run_packed; sys.stdout.buffer.write(run_packed(sys.stdin.buffer.read()))"

CHILDREN: set[int] = set()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        data = await reader.readexactly(int.from_bytes(await reader.readexactly(8), "big"))
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", RUN, stdin=pipe, stdout=pipe)
        CHILDREN.add(child.pid)
        ended, gone = asyncio.ensure_future(child.communicate(data)), asyncio.ensure_future(reader.read())
        await asyncio.wait((ended, gone), return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            child.kill()
        reply = (await ended)[0]
        CHILDREN.discard(child.pid)
        gone.cancel()
        if child.returncode == 0:
            writer.write(len(reply).to_bytes(8, "big") + reply)
            await writer.drain()
    writer.close()


def leave_with_the_driver() -> None:
    sys.stdin.read()
    for pid in list(CHILDREN):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    os._exit(0)


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    threading.Thread(target=leave_with_the_driver, daemon=True).start()
    await server.serve_forever()


asyncio.run(main())
