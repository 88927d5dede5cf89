"""Lets trainers that use torch.distributed.checkpoint write and read checkpoints of this format.

    dcp.save(state, storage_writer=HeadwayWriter("runs/gpt", step=120))
    dcp.load(state, storage_reader=HeadwayReader("runs/gpt"))

DCP plans and moves the data, so it decides what is saved, from which rank, and how long training stops (`dcp.async_save` works as
well). What changes is what is on disk. Each save is a folder of its own, so nothing is overwritten; blocks have hashes; coverage is
proved at the end; there is no pickle; and a save exists when its manifest does. `hw.Checkpoints` reads these checkpoints, and this
reader reads those of `hw.Checkpoints`.

DCP hands over other values than tensors as bytes of `torch.save`. They are read as data and kept as JSON; a value that can't be (an
object of a class) is refused by name when it is saved. DCP's planner insists on such bytes when it loads, so they are made again:
what it unpickles was pickled in this process a moment ago.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import re
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    StorageMeta,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import LoadItemType, LoadPlan, LoadPlanner, ReadItem, SavePlan, SavePlanner, WriteItem
from torch.distributed.checkpoint.planner import WriteItemType as Kind
from torch.distributed.checkpoint.storage import StorageReader, StorageWriter, WriteResult
from torch.futures import Future

from headway.checkpoint.catalog.commit_alone import commit
from headway.checkpoint.catalog.leases import lease_for_reading, lease_for_saving
from headway.checkpoint.catalog.listing import find, newest
from headway.checkpoint.files.coverage import Draft
from headway.checkpoint.files.manifest import Json, Manifest, Object, Segment, SegmentRef, folder_of, read_sealed_hash, unseal
from headway.checkpoint.files.stored import read_manifest, read_segment
from headway.checkpoint.files.write import FragmentData, put_segment, write_segment
from headway.checkpoint.formats.dcp.paths import LAYOUT, odd_paths, path_of
from headway.checkpoint.formats.pickles.torch_places import array_part, gather, to_json
from headway.checkpoint.formats.pickles.torch_zip import read_torch_zip
from headway.checkpoint.layout.boxes import Box, whole
from headway.checkpoint.layout.dtypes import code_of, torch_dtype
from headway.checkpoint.layout.pieces import Piece
from headway.checkpoint.load.loader import load
from headway.checkpoint.state.inventory import Holding, Inventory
from headway.checkpoint.state.torch.tensors import TorchMemory
from headway.checkpoint.state.values.tree import decode, references
from headway.errors import CheckpointConflict, CheckpointDamaged, NoCheckpoint, SaveFailed, UsageError
from headway.storage.opening import open_backend

CheckpointId = str | os.PathLike[str]
_COORDINATOR = "dcp"


class Ticket(NamedTuple):
    """What the coordinator tells each rank about a save: which checkpoint it is, and as which writer it writes."""

    id: str
    step: int
    writer: str

    @property
    def folder(self) -> str:
        return folder_of(self.step, self.id)


class Written(NamedTuple):
    """What a rank tells the coordinator about a value that is no tensor, and about the arrays in it."""

    value: Json
    objects: dict[str, Object]


class HeadwayWriter(StorageWriter):
    """A StorageWriter for `dcp.save` and `dcp.async_save`.

    Args:
        root: a folder, or the URL of an object store.
        step: under which step to save. None: the number at the end of the `checkpoint_id` that DCP is given (`"120"`,
            `"run/step-120"`; only the number is used), or one more than the newest checkpoint's.
        provenance: JSON to keep with the checkpoint.

    `saved` is the manifest of the last save, on the coordinator. Plans that the planner caches (`enable_plan_caching=True`) carry
    the last save's place and are refused; so is `use_collectives=False`.
    """

    def __init__(self, root: str | Path, *, step: int | None = None, provenance: Mapping[str, Json] | None = None) -> None:
        self.root = str(root)
        self.step = step
        self.provenance: dict[str, Json] = {"writer": "torch.distributed.checkpoint", **(provenance or {})}
        self.saved: Manifest | None = None
        self._given: int | None = None
        self._ticket: Ticket | None = None
        self._leases = contextlib.ExitStack()

    def __getstate__(self) -> dict[str, Any]:
        """For `AsyncCheckpointerType.PROCESS`: a lease stays with the process that took it."""
        return {**self.__dict__, "_leases": contextlib.ExitStack()}

    def reset(self, checkpoint_id: CheckpointId | None = None) -> None:
        self._given = _step_in(checkpoint_id) if checkpoint_id is not None else None

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        if not kwargs.get("use_collectives", True):
            raise UsageError(
                "dcp.save(use_collectives=False) makes a checkpoint of each rank, which this writer does not: leave it away"
            )

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        return plan

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        backend = open_backend(self.root)
        step = self._given if self._given is not None else self.step
        if step is None:
            last = newest(backend).manifest
            step = last.step + 1 if last is not None else 0
        ticket = Ticket(uuid.uuid4().hex[:12], step, _COORDINATOR)
        self._leases.close()
        self._leases.enter_context(lease_for_saving(backend, ticket.id, _COORDINATOR))  # the files of all ranks, until `finish`
        self._ticket = ticket
        return [dataclasses.replace(plan, storage_data=ticket._replace(writer=f"{n:05d}")) for n, plan in enumerate(plans)]

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        ticket = plan.storage_data
        if not isinstance(ticket, Ticket):
            raise UsageError("a planner dropped the storage_data of the plan: HeadwayWriter needs it to come back as it gave it")
        backend = open_backend(self.root)
        if backend.stat(f"{ticket.folder}/{ticket.writer}.json") is not None:
            raise UsageError("the planner gave the plan of an earlier save: use DefaultSavePlanner(enable_plan_caching=False)")
        parts: list[FragmentData] = []
        results = [_take(item, planner, parts) for item in plan.items]
        if parts:
            put_segment(backend, ticket.folder, write_segment(backend, ticket.folder, ticket.writer, parts, ticket.id))
        done: Future[list[WriteResult]] = Future()
        done.set_result(results)
        return done

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        assert self._ticket is not None
        backend, ticket = open_backend(self.root), self._ticket
        objects = {
            name: Object(code_of(kind.properties.dtype), tuple(kind.size))
            for name, kind in metadata.state_dict_metadata.items()
            if isinstance(kind, TensorStorageMetadata)
        }
        values: dict[str, Json] = {}
        segments = []
        for number, written in enumerate(results):
            inside = {each.index.fqn: each.storage_data for each in written if each.storage_data is not None}
            values |= {name: each.value for name, each in inside.items()}
            for each in inside.values():
                objects |= each.objects
            if len(inside) < len(written) or any(each.objects for each in inside.values()):
                segments.append(self._segment(ticket, number))
        paths = metadata.planner_data if isinstance(metadata.planner_data, dict) else {}
        layout: dict[str, Json] = {LAYOUT: odd_paths(paths)}
        draft = Draft(ticket.id, ticket.step, 0, time.time(), objects, values, layout=layout, provenance=self.provenance)
        self.saved = commit(backend, draft, segments)
        self._leases.close()

    def _segment(self, ticket: Ticket, number: int) -> tuple[SegmentRef, Segment]:
        file = f"{ticket.folder}/{number:05d}.json"
        try:
            data = open_backend(self.root).get(file)
        except NoCheckpoint:
            raise SaveFailed(
                f"step {ticket.step}: rank {number} said that it had written its part, and {file} is not there: all ranks must see "
                f"one root ({self.root}), and plans must not be cached"
            ) from None
        segment = unseal(data, Segment, file)
        return SegmentRef(file, read_sealed_hash(data), segment.nbytes), segment

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: CheckpointId) -> bool:
        return _NUMBER.search(os.fspath(checkpoint_id)) is not None

    def storage_meta(self) -> StorageMeta | None:
        return StorageMeta(checkpoint_id=self.root, save_id=self._ticket.id if self._ticket is not None else None)


class HeadwayReader(StorageReader):
    """A StorageReader for `dcp.load`, under any layout. All that a rank needs is verified before it changes anything.

    Args:
        root: a folder, or the URL of an object store.
        step: a step, an id, or `"latest"`; DCP's `checkpoint_id`, where it is given, says the step by the number at its end.
    """

    def __init__(self, root: str | Path, step: int | str = "latest") -> None:
        self.root = str(root)
        self.step = step
        self._manifest: Manifest | None = None
        self._leases = contextlib.ExitStack()

    def reset(self, checkpoint_id: CheckpointId | None = None) -> None:
        if checkpoint_id is not None:
            self.step = _step_in(checkpoint_id)

    def read_metadata(self) -> Metadata:  # with **kwargs, DCP would ask a second time where this fails
        backend = open_backend(self.root)
        self._leases.close()
        found = find(backend, self.step)
        self._leases.enter_context(lease_for_reading(backend, found.id))
        manifest = self._manifest = read_manifest(backend, found.folder)
        inside = {name for value in manifest.values.values() for _, name in references(value)}
        fragments: dict[str, list[ChunkStorageMetadata]] = {}
        for segment in (read_segment(backend, ref) for ref in manifest.segments):
            for each in segment.fragments:
                chunk = ChunkStorageMetadata(torch.Size(each.offset), torch.Size(each.extent))
                fragments.setdefault(each.name, []).append(chunk)
        kinds: dict[str, Any] = {name: BytesStorageMetadata() for name in manifest.values}
        for name, known in manifest.objects.items():
            if name not in inside:
                properties = TensorProperties(dtype=torch_dtype(known.dtype))
                chunks = fragments.get(_holder(manifest, name), [])
                kinds[name] = TensorStorageMetadata(properties, torch.Size(known.shape), chunks)
        odd = manifest.layout.get(LAYOUT)
        paths = {name: path_of(name, odd if isinstance(odd, dict) else {}) for name in kinds}
        meta = StorageMeta(checkpoint_id=self.root, load_id=manifest.id)
        return Metadata(state_dict_metadata=kinds, planner_data=paths, storage_data={}, storage_meta=meta)

    def set_up_storage_reader(self, metadata: Metadata, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        pass

    def prepare_local_plan(self, plan: LoadPlan) -> LoadPlan:
        assert self._manifest is not None
        return dataclasses.replace(plan, storage_data=self._manifest.id)

    def prepare_global_plan(self, plans: list[LoadPlan]) -> list[LoadPlan]:
        ids = sorted({str(plan.storage_data) for plan in plans})
        if len(ids) > 1:
            raise CheckpointConflict(
                f"{self.root}: a checkpoint was saved while ranks looked for the newest ({', '.join(ids)}): load again"
            )
        return plans

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        assert self._manifest is not None
        filling = _Filling(self._manifest, planner)
        for item in plan.items:
            filling.add(item)
        backend = open_backend(self.root)
        segments = [read_segment(backend, ref) for ref in self._manifest.segments]
        load(backend, self._manifest, segments, Inventory(filling.holdings), select=filling.names.__contains__)
        filling.finish()
        self._leases.close()
        done: Future[None] = Future()
        done.set_result(None)
        return done

    @property
    def checkpoint_id(self) -> str:
        return self.root

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: CheckpointId) -> bool:
        return _NUMBER.search(os.fspath(checkpoint_id)) is not None


# --- from and to DCP's terms -----------------------------------------------------------------------------------------

_NUMBER = re.compile(r"(\d+)/?$")


def _step_in(checkpoint_id: CheckpointId) -> int:
    match = _NUMBER.search(os.fspath(checkpoint_id))
    if match is None:
        raise UsageError(
            f"checkpoint_id={os.fspath(checkpoint_id)!r} has no number at its end that would say the step, as 'step-120' has"
        )
    return int(match[1])


def _take(item: WriteItem, planner: SavePlanner, parts: list[FragmentData]) -> WriteResult:
    """Add what an item writes to `parts`, and tell the coordinator about a value that is no tensor."""
    name = item.index.fqn
    if item.type == Kind.BYTE_IO:
        data = planner.resolve_data(item)
        if not isinstance(data, io.BytesIO):
            raise UsageError(f"{name}: the planner gave a {type(data).__name__} where DCP wants the bytes of a value")
        return WriteResult(item.index, data.getbuffer().nbytes, _value(name, data, parts))
    what = item.tensor_data
    assert what is not None
    known = Object(code_of(what.properties.dtype), tuple(what.size))
    box = Box(tuple(what.chunk.offsets), tuple(what.chunk.sizes))
    parts.append(FragmentData(name, known, box, lambda: _elements(planner.resolve_data(item), name, known, box)))
    return WriteResult(item.index, box.volume * what.properties.dtype.itemsize, None)


def _value(name: str, data: io.BytesIO, parts: list[FragmentData]) -> Written:
    try:
        tree = read_torch_zip(data, 0, data.getbuffer().nbytes, name)
    except CheckpointDamaged as error:
        raise UsageError(f"{name}: the planner gave bytes that torch.save did not make, which can't be kept ({error})") from None
    value, tensors, arrays = to_json(tree, name)
    its = [array_part(inside, array) for inside, array in arrays.items()]
    for inside, tensor in tensors.items():
        its.append(FragmentData(inside, Object(tensor.dtype, tensor.shape), whole(tensor.shape), gather(tensor, data, name)))
    parts += its
    return Written(value, {part.name: part.object for part in its})


def _elements(tensor: torch.Tensor | io.BytesIO, name: str, known: Object, box: Box) -> Any:
    if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided:
        raise UsageError(f"{name}: a tensor that is not strided (sparse, quantized) can't be kept in a checkpoint")
    plain = tensor.detach().cpu().resolve_conj().resolve_neg()
    if code_of(plain.dtype) != known.dtype or tuple(plain.shape) != box.extent:
        raise UsageError(
            f"{name}: the planner gave {plain.dtype} {list(plain.shape)} where its plan says {known.dtype} {list(box.extent)}"
        )
    # One element may have any stride, and torch calls it contiguous and then refuses to see it as bytes.
    return plain.contiguous().as_strided((plain.numel(),), (1,)).view(torch.uint8).numpy()


def _holder(manifest: Manifest, name: str) -> str:
    return manifest.objects[name].alias_of or name


class _Filling:
    """What a rank's load plan wants, as holdings, and what is left to do once they are filled."""

    def __init__(self, manifest: Manifest, planner: LoadPlanner) -> None:
        self.holdings: list[Holding] = []
        self.names: set[str] = set()
        self._manifest = manifest
        self._planner = planner
        self._tensors: list[tuple[ReadItem, torch.Tensor, torch.Tensor]] = []
        self._values: list[ReadItem] = []
        self._inside: dict[str, torch.Tensor] = {}

    def add(self, item: ReadItem) -> None:
        name = item.storage_index.fqn
        if item.type == LoadItemType.BYTE_IO:
            self._values.append(item)
            for _, inside in references(self._manifest.values[name]):
                known = self._manifest.objects[inside]
                self._inside[inside] = torch.empty(known.shape, dtype=torch_dtype(known.dtype))
                self._hold(inside, whole(known.shape), self._inside[inside])
            return
        target = self._planner.resolve_tensor(item).detach()
        dtype = torch_dtype(self._manifest.objects[name].dtype)
        # DCP converts silently where the state has another type, so here it does as well, once all is verified.
        filled = target if target.dtype == dtype else torch.empty(item.lengths, dtype=dtype)
        first = item.storage_index.offset or torch.Size([0] * len(item.lengths))
        offset = tuple(at + more for at, more in zip(first, item.storage_offsets, strict=True))
        self._hold(name, Box(offset, tuple(item.lengths)), filled)
        self._tensors.append((item, target, filled))

    def finish(self) -> None:
        """Give the planner what it waits for. All bytes are verified and in place."""
        for item, target, filled in self._tensors:
            if filled is not target:
                target.copy_(filled)
            self._planner.commit_tensor(item, target)
        for item in self._values:
            value = decode(self._manifest.values[item.storage_index.fqn], self._array)
            data = io.BytesIO()
            torch.save(value, data)
            data.seek(0)
            self._planner.load_bytes(item, data)

    def _array(self, mark: str, name: str) -> Any:
        """Turn an array of a value into what it was: a tensor, or an array or scalar of numpy."""
        tensor = self._inside[name]
        return tensor if mark == "$tensor" else tensor.numpy() if mark == "$array" else tensor.numpy()[()]

    def _hold(self, name: str, box: Box, tensor: torch.Tensor) -> None:
        pieces = (Piece(box, 0, tuple(tensor.stride())),) if box.volume else ()
        self.names.add(name)
        self.holdings.append(Holding(name, self._manifest.objects[name], pieces, TorchMemory(tensor)))
