"""A stand-in for servers that speak the OpenAI protocol badly. Run as a process; it prints its port.

What it does is said by the first word of the model's name (`busy-1`: busy), and how often it was asked for that very name. GET /log
tells what it saw: who asked what, when, and who hung up.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from typing import Any

import reading

LOG: list[dict[str, Any]] = []
ASKED: Counter[str] = Counter()
OPENING = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def event(text: str, finish: str | None = None, *, chat: bool = False) -> str:
    said = {"delta": {"content": text}} if chat else {"text": text}
    choice = {"index": 0, **said, "finish_reason": finish, "logprobs": None}
    return f"data: {json.dumps({'id': 'x', 'object': 'chunk', 'created': 1, 'model': 'm', 'choices': [choice]})}\n\n"


def thought(name: str) -> str:
    """What a model thinks before it answers, as vLLM and OpenRouter send it."""
    return event("", chat=True).replace('"content": ""', f'"content": null, "{name}": "hm"')


USAGE = 'data: {"id": "x", "object": "chunk", "created": 1, "model": "m", "choices": [], "usage": ' + (
    '{"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}\n\n'
)


def whole(*, chat: bool) -> list[str]:
    return [event("Hello", chat=chat), event(" there", "stop", chat=chat), USAGE, "data: [DONE]\n\n"]


def refusal(status: str, kind: str, code: str | None = None, headers: str = "") -> str:
    body = json.dumps({"error": {"message": f"scripted {kind}", "type": kind, "param": None, "code": code}})
    return f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {len(body)}\r\n\r\n{body}"


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, text: str) -> None:
        self.writer.write(text.encode())
        await self.writer.drain()

    async def chunks(self, *texts: str, end: bool = True) -> None:
        await self.send(OPENING + "".join(f"{len(text.encode()):x}\r\n{text}\r\n" for text in texts) + "0\r\n\r\n" * end)

    async def play(self, kind: str, said: str) -> None:
        """Answer what the prompt says, as JSON: one document ("document"), or a list of events to stream ("plays"). After them the
        connection stays open ("opens"), or breaks ("breaks")."""
        if kind == "document":
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(said.encode())}\r\n\r\n"
            await self.send(head + said)
            return
        parts = [part if isinstance(part, str) else json.dumps(part) for part in json.loads(said)]
        done = ["data: [DONE]\n\n"] if kind == "plays" else []
        await self.chunks(*(f"data: {part}\n\n" for part in parts), *done, end=kind == "plays")

    async def answer(self, model: str, time_asked: int, path: str, body: dict[str, Any]) -> None:
        kind, chat = model.partition("-")[0], "messages" in body
        first = time_asked == 1
        if kind in ("plays", "document", "opens", "breaks"):
            messages = body.get("messages") or body.get("input")
            await self.play(kind, messages[0]["content"] if messages else body["prompt"])
            if kind == "opens":
                await self.until_gone(model)
        elif kind == "reads":  # texts, and tells numbers
            told = json.dumps(reading.answer(model.split("-")[1], path, body))
            head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n"
            await self.send(f"{head}content-length: {len(told)}\r\n\r\n{told}")
        elif kind == "echoes":  # says in its error what it was told, where no key may be seen
            said = f"{'x' * 280} {LOG[-1]['key']} has no access to {path}" + " or ever will" * 9
            told = refusal("401 Unauthorized", "said").replace("scripted said", said)
            head, _, text = told.partition("\r\n\r\n")
            await self.send(f"{head.rpartition(':')[0]}: {len(text)}\r\n\r\n{text}")
        elif kind == "rests":  # for as long as its name says
            rest = model.split("-")[2].replace("_", "-")
            await self.send(refusal("429 Too Many Requests", "rate_limit", headers=f"retry-after: {rest}\r\n"))
        elif kind == "gateway":
            await self.send(refusal(f"{model.split('-')[1]} Upstream", "server_error"))
        elif kind == "uncapped":
            await self.chunks(*(event("x ", chat=chat) for _ in range(500)), end=False)
            await self.until_gone(model)
            return
        elif kind == "busy" and first:
            await self.send(refusal("429 Too Many Requests", "rate_limit", headers="retry-after-ms: 800\r\n"))
        elif kind == "broken" and first:
            await self.send(refusal("500 Internal Server Error", "server_error"))
        elif kind == "refuses":
            await self.send(refusal("400 Bad Request", "invalid_request_error"))
        elif kind == "poor":
            await self.send(refusal("429 Too Many Requests", "insufficient_quota", "insufficient_quota"))
        elif kind == "drops" and first:
            await self.chunks(event("Hel"), end=False)
        elif kind == "unended" and first:
            await self.chunks(event("Hel"))
        elif kind == "midway" and first:
            await self.chunks(event("Hel"), 'data: {"error": {"message": "out of memory", "code": 503}}\n\n')
        elif kind == "garbage":
            await self.chunks(event("Hel"), 'data: {"choices": [{\n\n')
        elif kind == "strange":
            await self.chunks('data: {"choices": [{"index": 9, "text": "x", "finish_reason": null}]}\n\n')
        elif kind == "negative":
            await self.chunks(event("Hello", "stop"), USAGE.replace("7", "-7"))
        elif kind == "detail":  # a refusal in a form of its own
            head = "HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\ncontent-length: 22\r\n\r\n"
            await self.send(head + '{"detail":"no access"}')
        elif kind == "thinks":
            await self.chunks(thought("reasoning_content"), thought("reasoning"), event("One", chat=True), end=False)
            await self.until_gone(model)
            return
        elif kind == "where":  # the address that it was asked at
            await self.chunks(event(path, "stop", chat=chat), USAGE)
        elif kind == "html":
            await self.send("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>")
        elif kind == "slow":
            await self.chunks(event("One"), event(" two"), end=False)
            await self.until_gone(model)
            return
        elif kind == "silent":
            await self.until_gone(model)
            return
        else:
            await self.chunks(*whole(chat=chat))
        LOG.append({"model": model, "what": "answered"})

    async def until_gone(self, model: str) -> None:
        await self.reader.read()
        LOG.append({"model": model, "what": "hung up"})


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    connection = Connection(reader, writer)
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next((int(line.partition(":")[2]) for line in head.lower().split("\r\n") if line.startswith("content-length")), 0)
        body = json.loads(await reader.readexactly(length)) if length else {}
        if head.startswith("GET"):
            told = json.dumps(LOG)
            await connection.send(f"HTTP/1.1 200 OK\r\ncontent-length: {len(told)}\r\n\r\n{told}")
            return
        model = body["model"]
        ASKED[model] += 1
        key = next((line for line in head.split("\r\n") if line.lower().startswith("authorization")), "")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:]) if name
        }
        told = {"at": time.monotonic(), "body": body, "path": head.split()[1], "key": key, "headers": headers}
        LOG.append({"model": model, "what": "asked", **told})
        try:
            await connection.answer(model, ASKED[model], head.split()[1], body)
        except ConnectionError:  # with words on the way that nobody reads any more
            LOG.append({"model": model, "what": "hung up"})
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
