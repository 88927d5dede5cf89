"""The checkpointer: LangGraph's threads as collections of a Headway store.

Each thread is a durable collection. A checkpoint, or what a task wrote, is one item, appended in one durable transaction, so that a
process killed between two of them leaves each whole.

`records` says what an item holds, `threads` what a process knows of a thread, `shelf` how processes share one. This file talks to
LangGraph, and never keeps a live value of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from headway.errors import UsageError
from headway.integrations.langgraph.awaiting import AwaitedSaver
from headway.integrations.langgraph.records import Form, Parts, Put, Typed, Value, Writes
from headway.integrations.langgraph.shelf import Shelf
from headway.integrations.langgraph.threads import ThreadRecords
from headway.journal.open import open_store
from headway.journal.store import Store


class HeadwaySaver(AwaitedSaver):
    """A checkpointer of LangGraph in a Headway store.

    It may be shared by threads, and several processes may each have one on the same store. What `put` and `put_writes` have
    returned survives a kill and a loss of power. Lists and dictionaries in channels are kept as differences, so a conversation's
    journal grows with its length and not with its square; with an encrypting serializer, whose bytes never repeat, it does not.

    Args:
        store: a folder (made when missing), `":memory:"`, or a store. Default ".headway".
        name: tells the threads of several applications in one store apart.
        serde: LangGraph's serializer of values. Default: LangGraph's own.

    Raises:
        UsageError: the name is empty, or has a `/` or unprintable characters.
        StoreError: the store can't be opened.

    Example:
        >>> from langgraph.graph import END, START, StateGraph
        >>> builder = StateGraph(int)
        >>> _ = builder.add_node("double", lambda n: 2 * n)
        >>> _ = builder.add_edge(START, "double")
        >>> _ = builder.add_edge("double", END)
        >>> graph = builder.compile(checkpointer=HeadwaySaver(":memory:"))
        >>> config = {"configurable": {"thread_id": "ada"}}
        >>> graph.invoke(21, config), graph.get_state(config).values
        (42, 42)
    """

    def __init__(
        self, store: str | Path | Store | None = None, *, name: str = "langgraph", serde: SerializerProtocol | None = None
    ) -> None:
        super().__init__(serde=serde)
        if not isinstance(name, str) or not name or "/" in name or not name.isprintable():
            raise UsageError(f"HeadwaySaver(name={name!r:.100}): a name of printable characters, without `/`")
        self._store = open_store(store)
        self._owns_store = self._store is not store
        self._shelf = Shelf(self._store, name)

    def close(self) -> None:
        """Close the store, unless it was given open."""
        if self._owns_store:
            self._store.close()

    def __enter__(self) -> HeadwaySaver:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # --- reading ---------------------------------------------------------------------------------------------------------

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """A checkpoint, with what was written after it.

        Args:
            config: the thread, and the namespace and checkpoint where it names them; without a checkpoint, the newest.

        Returns:
            The checkpoint, or None where there is none.

        Raises:
            StoreDamaged: a part of it is lost.
        """
        thread_id, ns, checkpoint_id = _place_of(config)
        with self._shelf.open(thread_id) as thread:
            number = thread.find(ns or "", checkpoint_id)
            return None if number is None else self._tuple(thread_id, thread, number)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - as the base class calls it
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """The checkpoints that match, those with the newest ids first.

        Args:
            config: the thread, and the namespace and checkpoint where it names them. None: every thread.
            filter: what their metadata must say.
            before: a checkpoint; only those with smaller ids.
            limit: how many at most.

        Returns:
            The checkpoints, as they were when the first was asked for.
        """
        _, ns, wanted = ("", None, None) if config is None else _place_of(config)
        last = None if before is None else before["configurable"].get("checkpoint_id")
        found: list[tuple[str, str, int, ThreadRecords]] = []
        for thread_id in self._shelf.thread_ids() if config is None else [_place_of(config)[0]]:
            with self._shelf.open(thread_id) as thread:
                found += [(thread.puts[number].id, thread_id, number, thread) for number in thread.numbers(ns)]
        left = limit
        for checkpoint_id, thread_id, number, thread in sorted(found, key=lambda one: one[0], reverse=True):
            if left is not None and left <= 0:
                return
            if (wanted and checkpoint_id != wanted) or (last and checkpoint_id >= last):
                continue
            with thread.lock:
                if number not in thread.puts or not thread.is_whole(number) or not self._matches(thread.puts[number], filter):
                    continue
                one = self._tuple(thread_id, thread, number)
            yield one
            left = None if left is None else left - 1

    def get_delta_channel_history(self, *, config: RunnableConfig, channels: Sequence[str]) -> Mapping[str, Any]:
        """What was written to channels on the way to a checkpoint, since each had a value of its own.

        Args:
            config: the checkpoint.
            channels: their names.

        Returns:
            By channel `writes`, oldest first, and `seed`, that value, where there is one.
        """
        thread_id, ns, checkpoint_id = _place_of(config)
        written: dict[str, list[Any]] = {channel: [] for channel in channels}
        seeds: dict[str, Any] = {}
        with self._shelf.open(thread_id) as thread:
            number = thread.find(ns or "", checkpoint_id)
            for ancestor in () if number is None else thread.ancestors(thread.puts[number]):
                left = written.keys() - seeds.keys()
                if not left:
                    break
                for one in reversed(thread.writes_of(thread.puts[ancestor])):
                    if one.channel in left:
                        written[one.channel].append((one.task, one.channel, self._load(*thread.written(one))))
                for channel in left.intersection(thread.channels(ancestor)):
                    seeds[channel] = self._load(*thread.value(ancestor, channel))
        return {
            channel: {"writes": found[::-1]} | ({"seed": seeds[channel]} if channel in seeds else {})
            for channel, found in written.items()
        }

    def _tuple(self, thread_id: str, thread: ThreadRecords, number: int) -> CheckpointTuple:
        put = thread.puts[number]
        checkpoint = self.serde.loads_typed(put.checkpoint)
        values = {channel: self._load(*thread.value(number, channel)) for channel in thread.channels(number)}
        return CheckpointTuple(
            _config(thread_id, put.ns, put.id),
            cast("Checkpoint", {**checkpoint, "channel_values": values}),
            self.serde.loads_typed(put.metadata),
            _config(thread_id, put.ns, put.parent) if put.parent else None,
            [(one.task, one.channel, self._load(*thread.written(one))) for one in thread.writes_of(put)],
        )

    def _matches(self, put: Put, wanted: Mapping[str, Any] | None) -> bool:
        if not wanted:
            return True
        said = self.serde.loads_typed(put.metadata)
        return all(said.get(name) == value for name, value in wanted.items())

    # --- writing ---------------------------------------------------------------------------------------------------------

    def put(
        self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata, new_versions: ChannelVersions
    ) -> RunnableConfig:
        """Keep a checkpoint. It is durable when this returns.

        Args:
            config: the thread and namespace, and the checkpoint before.
            checkpoint: the checkpoint.
            metadata: what is to be known of it.
            new_versions: the channels that have changed.

        Returns:
            The checkpoint's own config.

        Raises:
            StoreError: the store can't be written.
        """
        thread_id, ns, parent = _place_of(config)
        said = self.serde.dumps_typed(get_checkpoint_metadata(config, metadata))
        head = {name: value for name, value in checkpoint.items() if name != "channel_values"}
        place = ns or "", checkpoint["id"], parent, self.serde.dumps_typed(head), said
        values = {
            channel: self._dump(value)
            for channel, value in checkpoint["channel_values"].items()
            if channel in new_versions or channel not in checkpoint["channel_versions"]
        }
        with self._shelf.open(thread_id, reads=False) as thread:
            if parent and (ns or "", parent) not in thread.number_of:
                self._shelf.read_on(thread)
            while True:
                record = self._put_record(thread, place, checkpoint, values)
                at = self._shelf.append(thread, record)
                if thread.number_of.get((ns or "", checkpoint["id"])) != at or thread.is_whole(at):
                    return _config(thread_id, ns or "", checkpoint["id"])

    def _put_record(
        self,
        thread: ThreadRecords,
        place: tuple[str, str, str | None, Typed, Typed],
        checkpoint: Checkpoint,
        values: Mapping[str, Parts],
    ) -> Put:
        ns, _, parent, *_ = place
        base = thread.number_of.get((ns, parent)) if parent else None
        if base is not None and not thread.is_whole(base):
            base = None
        made: dict[str, Value] = {}
        kept: dict[str, int] = {}
        before = {} if base is None else self.serde.loads_typed(thread.puts[base].checkpoint)["channel_versions"]
        inherited = set() if base is None else set(thread.channels(base))
        for channel, version in checkpoint["channel_versions"].items():
            if channel in values:
                continue
            if channel in inherited and before.get(channel) == version:
                kept[channel] = thread.home(cast("int", base), channel)
            elif channel in checkpoint["channel_values"]:
                made[channel] = Value(*self._dump(checkpoint["channel_values"][channel]))
        for channel, (form, parts) in values.items():
            near = thread.near(ns, parent)
            if (held := thread.holder(near, channel, form, parts)) is not None:
                kept[channel] = held
            else:
                made[channel] = thread.difference(near, channel, form, parts)
        return Put(*place, made, kept)

    def put_writes(self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = "") -> None:
        """Keep what a task wrote after a checkpoint. It is durable when this returns.

        Args:
            config: the checkpoint.
            writes: channels and values.
            task_id: the task.
            task_path: the path of the task.

        Raises:
            StoreError: the store can't be written.
        """
        thread_id, ns, checkpoint_id = _place_of(config)
        place = ns or "", checkpoint_id or ""
        dumped = [(WRITES_IDX_MAP.get(channel, at), channel, self._dump(value)) for at, (channel, value) in enumerate(writes)]
        with self._shelf.open(thread_id, reads=False) as thread:
            while True:
                base = thread.near(*place)
                made = [(at, channel, thread.difference(base, channel, *parts)) for at, channel, parts in dumped]
                self._shelf.append(thread, Writes(*place, task_id, task_path, made))
                if all(thread.is_made(one) for one in thread.writes.get(place, {}).values() if one.task == task_id):
                    return

    # --- forgetting and copying ------------------------------------------------------------------------------------------

    def delete_thread(self, thread_id: str) -> None:
        """Delete a thread. Its bytes are erased; `headway gc` removes its large values.

        Args:
            thread_id: the thread. Where there is none, nothing happens.
        """
        self._shelf.keep_only(str(thread_id), None)

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints of runs, and what was written after them, in every thread. Others keep their values.

        Args:
            run_ids: the runs, as metadata has them.
        """
        gone = set(run_ids)

        def others(thread: ThreadRecords) -> set[int]:
            said = {number: self.serde.loads_typed(thread.puts[number].metadata) for number in thread.number_of.values()}
            return {number for number, metadata in said.items() if metadata.get("run_id") not in gone}

        for thread_id in self._shelf.thread_ids() if gone else ():
            self._shelf.keep_only(thread_id, others)

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Forget the past of threads.

        Args:
            thread_ids: the threads.
            strategy: "keep_latest": of each namespace the newest checkpoint stays, and what was written after it; channels of the
                kind `DeltaChannel` that are still made of older ones keep those. "delete": nothing stays.

        Raises:
            UsageError: there is no such strategy.
        """
        if strategy not in ("keep_latest", "delete"):
            raise UsageError(f"prune(strategy={strategy!r}): 'keep_latest' or 'delete'")
        for thread_id in thread_ids:
            self._shelf.keep_only(str(thread_id), self._newest if strategy == "keep_latest" else None)

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy all checkpoints of a thread, and what was written after them, to another.

        Args:
            source_thread_id: the thread.
            target_thread_id: the other thread. What it has stays.
        """
        self._shelf.copy(str(source_thread_id), str(target_thread_id))

    def _made_of(self, thread: ThreadRecords, number: int) -> set[int]:
        """The checkpoints whose writes make up channels that have no value of their own in a checkpoint."""
        versions = self.serde.loads_typed(thread.puts[number].checkpoint)["channel_versions"]
        left = set(versions) - set(thread.channels(number))
        written = {one.channel for known in thread.writes.values() for one in known.values()}
        left &= written
        found: set[int] = set()
        for ancestor in thread.ancestors(thread.puts[number]):
            if not left:
                break
            found.add(ancestor)
            left -= set(thread.channels(ancestor))
        return found

    def _newest(self, thread: ThreadRecords) -> set[int]:
        """The newest checkpoint of each namespace, and those that it is still made of."""
        newest = {number for ns in thread.newest if (number := thread.find(ns, None)) is not None}
        return newest.union(*(self._made_of(thread, number) for number in newest))

    def _dump(self, value: Any) -> Parts:
        """The form and the parts of a channel's value."""
        dump = self.serde.dumps_typed
        if type(value) is list:
            return "list", [dump(one) for one in value]
        if type(value) is dict:
            return "dict", [dump([name, one]) for name, one in value.items()]
        return "whole", [dump(value)]

    def _load(self, form: Form, parts: Sequence[Typed]) -> Any:
        load = self.serde.loads_typed
        if form == "list":
            return [load(one) for one in parts]
        if form == "dict":
            return dict(map(load, parts))
        return load(parts[0])


def _place_of(config: RunnableConfig) -> tuple[str, str | None, str | None]:
    """The thread, the namespace and the checkpoint of a config."""
    named = config["configurable"]
    return str(named["thread_id"]), named.get("checkpoint_ns"), named.get("checkpoint_id") or None


def _config(thread_id: str, ns: str, checkpoint_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ns, "checkpoint_id": checkpoint_id}}
