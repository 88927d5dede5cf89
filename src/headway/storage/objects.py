"""A root in an object store, through obstore: S3 and what speaks its protocol, Google Cloud Storage, Azure, or memory.

Small files are put on condition (`If-None-Match: *` for those that must not be there, `If-Match` for HEAD), so the store itself
decides races. An answer can get lost after the store did what was asked, and the repeated request then fails because of its own
success; every conditional put therefore carries a token in the object's metadata by which it recognises itself.

Large files are streamed as multipart uploads of at most `CONCURRENT + 3` parts in memory. They appear when they are complete.
An upload that is given up is aborted; those of a process that was killed stay as invisible parts that no listing shows: give the
bucket a lifecycle rule (abort incomplete multipart uploads after a day).

Nothing waits for ever: every request has a timeout and every operation a deadline, after which it raises CheckpointError with the
file and what the store said. Settings and keys come from the environment (`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, …); a store of
the scheme `memory://name` lives as long as the process and is shared by all who open that name.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from headway.errors import CheckpointDamaged, CheckpointError, NoCheckpoint, UsageError
from headway.extras import explain_missing
from headway.storage.backend import DataWriter, Stat
from headway.storage.names import already_there, check_name, check_new_name
from headway.storage.upload import Upload

DEADLINE_S = 120.0
REQUEST_S = 30.0
READ = 16 << 20
TOKEN = "headwaytoken"
T = TypeVar("T")
_in_memory: dict[str, Any] = {}


class ObjectBackend:
    """`s3://bucket/prefix`, `gs://…`, `az://…` or `memory://name`. No operation takes longer than `deadline_s` plus one request."""

    def __init__(self, url: str, *, deadline_s: float = DEADLINE_S, request_s: float = REQUEST_S) -> None:
        self.url = url.rstrip("/")
        self._deadline_s = deadline_s
        self._request_s = min(request_s, deadline_s)
        with explain_missing(f"the object store {url}"):
            self._obs = importlib.import_module("obstore")
        self._errors = importlib.import_module("obstore.exceptions")
        self._store = self._open(url)

    def get(self, file: str) -> bytes:
        return self._get(check_name(file))[0]

    def read(self, file: str, start: int, into: memoryview) -> None:
        check_name(file)
        view = into.cast("B") if into.format != "B" or into.ndim != 1 else into
        for at in range(0, len(view), READ):
            self._read_part(file, start + at, view[at : at + READ])

    def stat(self, file: str) -> Stat | None:
        check_name(file)
        try:
            return _stat(self._do("look at", file, lambda: self._obs.head(self._store, file)))
        except FileNotFoundError:
            return None

    def files(self, folder: str) -> Iterator[tuple[str, Stat]]:
        def everything() -> list[tuple[str, Stat]]:
            pages = self._obs.list(self._store, prefix=check_name(folder) if folder else None)
            return [(str(meta["path"]), _stat(meta)) for page in pages for meta in page]

        return iter(sorted(self._do("list", folder or "/", everything)))

    def put(self, file: str, data: bytes) -> None:
        if not self._put_if(check_new_name(file), data, "create"):
            raise already_there(self._name(file))

    def swap(self, file: str, data: bytes, expected: bytes | None) -> bool:
        try:
            content, version = self._get(check_new_name(file))
        except NoCheckpoint:
            return expected is None and self._put_if(file, data, "create")
        return content == expected and self._put_if(file, data, version)

    def create(self, file: str, nbytes: int) -> DataWriter:
        if self.stat(check_new_name(file)) is not None:  # its name has a random part: this finds mistakes, not races
            raise already_there(self._name(file))
        return Upload(self, file, nbytes, stall_s=self._deadline_s + self._request_s)

    def delete(self, files: Iterable[str]) -> None:
        names = [check_new_name(file) for file in files]
        if not names:
            return
        try:
            self._do("delete", f"{names[0]} and {len(names) - 1} more", partial(self._obs.delete, self._store, names))
        except FileNotFoundError:  # some stores say so; then one by one
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    self._do("delete", name, partial(self._obs.delete, self._store, [name]))

    def sweep(self, folders: Iterable[str], *, dry_run: bool) -> Iterator[tuple[str, Stat]]:
        return iter(())  # an upload that was not completed is invisible and the bucket's lifecycle rule's business

    def path(self, file: str) -> Path | None:
        return None

    # --- for Upload ---------------------------------------------------------------------------------------------------

    def put_stream(self, file: str, parts: Iterator[bytearray], part_nbytes: int, concurrent: int) -> None:
        """Upload until the iterator ends; where it raises, the store forgets what it got."""
        try:
            self._obs.put(self._store, file, parts, use_multipart=True, chunk_size=part_nbytes, max_concurrency=concurrent)
        except self._errors.BaseError as error:
            raise self._trouble("write", file, error) from error
        except FileNotFoundError as error:
            raise self._trouble("write", file, error) from error

    # --- the store ----------------------------------------------------------------------------------------------------

    def _open(self, url: str) -> Any:
        store = importlib.import_module("obstore.store")
        if url.startswith("memory://"):
            return _in_memory.setdefault(url.rstrip("/"), store.MemoryStore())
        endpoint = os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT") or ""
        options: dict[str, Any] = {"timeout": timedelta(seconds=self._request_s)}
        if endpoint.startswith("http://") or os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true", "yes"):
            options["allow_http"] = True
        backoff = {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=5), "base": 2}
        retry = {"max_retries": 10, "retry_timeout": timedelta(seconds=self._deadline_s), "backoff": backoff}
        try:
            return store.from_url(url, client_options=options, retry_config=retry)
        except (self._errors.BaseError, ValueError) as error:
            raise UsageError(f"{url} cannot be opened as an object store: {_first_line(error)}") from error

    def _get(self, file: str) -> tuple[bytes, dict[str, str]]:
        """Content, and the version by which it can be replaced."""

        def whole() -> tuple[bytes, dict[str, str]]:
            found = self._obs.get(self._store, file)
            version = {key: found.meta[key] for key in ("e_tag", "version") if found.meta.get(key) is not None}
            return bytes(found.bytes()), version

        try:
            return self._do("read", file, whole)
        except FileNotFoundError:
            raise NoCheckpoint(f"{self._name(file)}: there is no such file") from None

    def _read_part(self, file: str, start: int, into: memoryview) -> None:
        def part() -> None:
            try:
                data = memoryview(self._obs.get_range(self._store, file, start=start, length=len(into)))
            except self._errors.BaseError:
                self._refuse_if_short(file, start + len(into))  # each store refuses in words of its own
                raise
            if len(data) != len(into):
                self._refuse_if_short(file, start + len(into))
                raise self._errors.GenericError(f"{len(data):,} bytes came instead of {len(into):,}")
            into[:] = data

        try:
            self._do("read", file, part)
        except FileNotFoundError:
            raise CheckpointDamaged(f"{self._name(file)} is missing") from None

    def _refuse_if_short(self, file: str, need: int) -> None:
        with contextlib.suppress(self._errors.BaseError):
            size = int(self._obs.head(self._store, file)["size"])
            if size < need:
                raise CheckpointDamaged(f"{self._name(file)} is cut short: it has {size:,} bytes, {need:,} are needed")

    def _put_if(self, file: str, data: bytes, mode: str | dict[str, str]) -> bool:
        """Put a file on condition; whether it was met."""
        token = secrets.token_hex(16)

        def attempt() -> bool:
            try:
                self._obs.put(self._store, file, data, mode=mode, attributes={TOKEN: token}, use_multipart=False)
            except (self._errors.AlreadyExistsError, self._errors.PreconditionError):
                return self._token_of(file) == token
            except FileNotFoundError:
                if isinstance(mode, str):
                    raise  # there is no such bucket
                return False  # what should be replaced is gone
            return True

        try:
            return self._do("write", file, attempt)
        except FileNotFoundError as error:
            raise self._trouble("write", file, error) from error

    def _token_of(self, file: str) -> str:
        try:
            return str(self._obs.get(self._store, file).attributes.get(TOKEN, ""))
        except FileNotFoundError:
            return ""

    def _do(self, verb: str, file: str, operation: Callable[[], T]) -> T:
        """Do it, again where the store or the way to it failed, until the deadline. FileNotFoundError passes."""
        give_up = time.monotonic() + self._deadline_s
        pause = 0.1
        while True:
            try:
                return operation()
            except self._errors.BaseError as error:
                if not _passing(error) or time.monotonic() + pause > give_up:
                    raise self._trouble(verb, file, error) from error
            time.sleep(pause)
            pause = min(2 * pause, 5.0)

    def _trouble(self, verb: str, file: str, error: Exception) -> CheckpointError:
        if _passing(error):
            hint = f"tried for {self._deadline_s:g} s: look at the address and the network, then try again"
        else:
            hint = "the store refuses it, so it was not tried again: look at the address and the keys"
        return CheckpointError(f"could not {verb} {self._name(file)}: {_first_line(error)} ({hint})")

    def _name(self, file: str) -> str:
        return f"{self.url}/{file.lstrip('/')}"


def _stat(meta: Any) -> Stat:
    return Stat(int(meta["size"]), float(meta["last_modified"].timestamp()))


def _passing(error: Exception) -> bool:
    """Whether trying again may help: not where the store said that the request itself is wrong."""
    if type(error).__name__ != "GenericError":
        return False
    status = re.search(r"status code: (\d{3})", str(error))
    return status is None or status[1] in ("408", "409", "429") or status[1].startswith("5")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:400]
