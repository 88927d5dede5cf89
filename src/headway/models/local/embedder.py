"""Models in a GGUF file that embed texts, run in this process by llama.cpp (extra `local`).

    found = await models.embed(models.LocalEmbedder("weights/nomic-embed-text.gguf"), ["a cat", "a dog"])

A vector has length 1. A text that does not fit into `context` is refused, never cut.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from headway.errors import ModelError, UsageError
from headway.extras import require
from headway.models.local.loading import Pooling, check_settings, fingerprint_of, load_server
from headway.models.numbers.embedding import Embeddings
from headway.models.prices import FREE


class LocalEmbedder:
    """A model in a GGUF file that embeds texts. The file is loaded at the first request.

    Args:
        path: the file.
        pooling: how the vectors of tokens become one: "mean", "cls" (the first token's) or "last". By default as the file says;
            files of models that were made to write say nothing.
        context: tokens that a text has room for.
        threads: of the processor; by default half of its cores, as for `Local`.
        name: what it is known by in keys and records. By default it is known by the file's name and by what is in the file.

    Raises:
        UsageError: without the extra or the file, and for arguments that make no sense.
    """

    price = FREE

    def __init__(
        self, path: str | Path, *, pooling: Pooling | None = None, context: int = 512, threads: int | None = None, name: str = ""
    ) -> None:
        require("models.LocalEmbedder", "xllamacpp")
        check_settings("models.LocalEmbedder", path, context=context, threads=threads)
        if pooling is not None and pooling not in get_args(Pooling):
            raise UsageError(f"models.LocalEmbedder(pooling={pooling!r:.80}): one of {', '.join(get_args(Pooling))}")
        self._settings = (str(path), pooling, context, threads)
        self._named, self._print = name, ""
        self.name = name or Path(path).stem
        self._working = threading.Lock()
        self._server: Any = None

    def __headway_key__(self) -> object:
        path, pooling, _, _ = self._settings
        if not self._named:
            self._print = self._print or fingerprint_of(Path(path))
        return ("model", self.name, self._print, pooling)

    def __reduce__(self) -> tuple[Any, ...]:
        return _remake, (*self._settings, self._named)

    def __repr__(self) -> str:
        return f"LocalEmbedder({self.name!r})"

    async def embed(self, texts: Sequence[str], dimensions: int | None = None) -> Embeddings:
        """Embed texts.

        Args:
            texts: at least one.
            dimensions: None; the file decides how long vectors are.

        Returns:
            A vector of length 1 for each.

        Raises:
            UsageError: `dimensions` are given, or the file does not say how to embed.
            ModelError: a text is too long.
        """
        if dimensions is not None:
            raise UsageError(f"{self.name}: its vectors have the length that they have: leave dimensions out")
        return await asyncio.to_thread(self._embed, list(texts))

    def _embed(self, texts: list[str]) -> Embeddings:
        with self._working:
            path, pooling, context, threads = self._settings
            if self._server is None:
                self._server = load_server(path, 1, context, threads, embeds=True, pooling=pooling)
            answer = self._server.handle_embeddings({"input": texts, "model": self.name})
        if "error" in answer:
            said = str(answer["error"].get("message", answer["error"]))
            if "Pooling type" in said:
                raise UsageError(f"{self.name}: the file does not say how to embed: give pooling='mean', 'cls' or 'last'")
            raise ModelError(f"{self.name}: llama.cpp: {said}")
        found = sorted(answer["data"], key=lambda one: int(one["index"]))
        return Embeddings(tuple(tuple(map(float, one["embedding"])) for one in found), answer["usage"]["prompt_tokens"], self.name)


def _remake(path: str, pooling: Pooling | None, context: int, threads: int | None, name: str) -> LocalEmbedder:
    """The model in another process."""
    return LocalEmbedder(path, pooling=pooling, context=context, threads=threads, name=name)
