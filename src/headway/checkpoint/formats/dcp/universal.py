"""Takes over a DeepSpeed universal checkpoint, without running its pickles and without a copy.

Universal Checkpointing (2406.18820) has a folder for each parameter, `zero/<name>/`, with the whole fp32 weight, the two moments
of Adam and the step, each in a `torch.save` file: a tensor, or a dict with it under `param` and notes beside it. `latest_universal`
in the folder above names the newest. What DeepSpeed keeps beside that (`mp_rank_…`, `optimizer_state.pt`: classes of its own) is
not read, and the manifest's provenance lists it.

Names become those that a state `{"model": module, "opt": optimizer}` has here: `model.<name>` and `opt.state.model.<name>.<slot>`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from headway.checkpoint.files.manifest import Json, Kind, Manifest, Object
from headway.checkpoint.files.write import FragmentData
from headway.checkpoint.formats.in_place import ForeignFragment, Found, take_over
from headway.checkpoint.formats.pickles.torch_places import locate_or_copy
from headway.checkpoint.formats.pickles.torch_zip import StoredTensor, check_record, read_torch_file
from headway.checkpoint.layout.boxes import Box, whole
from headway.errors import CheckpointDamaged, NoCheckpoint, UsageError
from headway.storage.backend import Backend

_WEIGHT, _STEP = "fp32", "step"
_TAG = re.compile(r"global_step(\d+)")
_NOTES = frozenset({"deepspeed.checkpoint.universal_checkpoint.SubparamShape"})  # how a parameter was packed: not needed to read it


class _Folder(NamedTuple):
    path: Path
    tag: str


def import_universal(
    backend: Backend,
    folder: Path,
    *,
    step: int | None = None,
    model: str = "model",
    optimizer: str = "opt",
    rename: Callable[[str], str] | None = None,
    copy: bool = False,
    check: bool = True,
) -> Manifest:
    """Take over a universal checkpoint as a checkpoint.

    Args:
        folder: the one with `zero/`, or the one above with `latest_universal`.
        step: under which step it is kept; None: the number in the folder's name (`global_step100_universal`).
        model, optimizer: the first words of the names, as the keys of the state that will be loaded.
        rename: from DeepSpeed's names of parameters to the model's; None: `module.` is removed from the front.
        copy: copy the bytes instead of referring to the files (always done for an object store).
        check: compare all bytes with the CRC-32 of their files first.

    Raises:
        NoCheckpoint: there is no universal checkpoint, or a parameter has no weight.
        CheckpointDamaged: a file is not whole, not what was written, or a moment has another shape than its weight.
        UsageError: it holds something that would need its pickle to be run, or its step is not known.
    """
    found = _find(folder)
    number = step if step is not None else _step_of(found)
    name_of = rename or _canonical
    places: list[ForeignFragment] = []
    parts: list[FragmentData] = []
    for weight in sorted(found.path.glob(f"zero/**/{_WEIGHT}.pt")):
        name = ".".join(weight.parent.relative_to(found.path / "zero").parts)
        _parameter(weight.parent, f"{model}.{name_of(name)}", optimizer, check, places, parts)
    _refuse_incomplete(found.path)
    if not places and not parts:
        raise NoCheckpoint(f"{found.path}: zero/ has no folder with {_WEIGHT}.pt: no parameter is there")
    left: list[Json] = [*sorted(_beside(found.path))]
    provenance: dict[str, Json] = {"imported": "universal", "from": str(found.path.resolve()), "not_imported": left}
    return take_over(backend, Found(places, parts, {}, provenance), number, copy)


def _find(folder: Path) -> _Folder:
    latest = folder / "latest_universal"
    if not (folder / "zero").is_dir() and latest.is_file():
        tag = latest.read_text().strip()
        if not tag or Path(tag).is_absolute() or ".." in Path(tag).parts:
            raise UsageError(f"{latest}: names {tag!r}, which is not a folder beside it")
        folder = folder / tag
    if not (folder / "zero").is_dir():
        raise NoCheckpoint(
            f"{folder}: has no folder zero/, so it is not a universal checkpoint. Make one with DeepSpeed's ds_to_universal.py"
        )
    return _Folder(folder, folder.resolve().name)


def _step_of(found: _Folder) -> int:
    match = _TAG.match(found.tag)
    if match is None:
        raise UsageError(f"{found.path}: its name does not say the step (as global_step100_universal does): give step=")
    return int(match[1])


def _canonical(name: str) -> str:
    return name.removeprefix("module.")


def _parameter(
    folder: Path, name: str, optimizer: str, check: bool, places: list[ForeignFragment], parts: list[FragmentData]
) -> None:
    """Add the weight and the optimizer's slots of one parameter."""
    shape: tuple[int, ...] | None = None
    for file in sorted(folder.glob("*.pt"), key=lambda each: (each.stem != _WEIGHT, each.name)):
        slot = file.stem
        value = _value(file)
        its = name if slot == _WEIGHT else f"{optimizer}.state.{name}.{slot}"
        if not isinstance(value, StoredTensor):
            parts.append(_number(its, value, file))
            continue
        if check:
            with file.open("rb") as source:
                check_record(source, value.record, f"{its} in {file}")
        if slot == _WEIGHT:
            shape = value.shape
        elif slot != _STEP and value.shape != shape:
            raise CheckpointDamaged(f"{file}: has shape {list(value.shape)}, the weight beside it {list(shape or ())}")
        kind: Kind = "param" if slot == _WEIGHT else "moment" if value.shape else "scalar"
        found = locate_or_copy(its, Object(value.dtype, value.shape, kind), whole(value.shape), value, file)
        if isinstance(found, ForeignFragment):
            places.append(found)
        else:
            parts.append(found)


def _value(file: Path) -> object:
    """Read the tensor or number of a file, which may be in a dict under `param`."""
    tree = read_torch_file(file, _NOTES)
    if isinstance(tree, Mapping):
        if "param" not in tree:
            raise UsageError(f"{file}: a dict without 'param' ({', '.join(map(str, tree))}): not a file of a universal checkpoint")
        tree = tree["param"]
    if isinstance(tree, list | tuple) and len(tree) == 1:  # the step, as older versions write it
        (tree,) = tree
    return tree


def _number(name: str, value: object, file: Path) -> FragmentData:
    """Turn a number into a 0-d float32 array, as torch's optimizers keep the step."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{file}: holds a {type(value).__name__}, and a tensor or a number was expected: not read")
    import numpy as np

    return FragmentData(name, Object("F32", (), "scalar"), Box((), ()), np.array(value, np.float32))


def _refuse_incomplete(root: Path) -> None:
    """Refuse a folder with moments and no weight: the parameter would silently be missing."""
    for file in sorted(root.glob("zero/**/exp_avg*.pt")):
        if not (file.parent / f"{_WEIGHT}.pt").is_file():
            raise NoCheckpoint(f"{file.parent}: {_WEIGHT}.pt is missing: the conversion to a universal checkpoint was not finished")


def _beside(root: Path) -> list[str]:
    """List the files that are not imported."""
    zero = root / "zero"
    return [
        str(file.relative_to(root))
        for file in root.rglob("*")
        if file.is_file() and (zero not in file.parents or file.parent == zero)
    ]
