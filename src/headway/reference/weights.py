"""A model as a file: half-precision safetensors, whose metadata say whose words it knows, its shape, and how it was made."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from headway.errors import UsageError
from headway.extras import explain_missing
from headway.reference.language import Language
from headway.reference.network import Network, Shape

if TYPE_CHECKING:
    from torch import Tensor

_FILES = "a file of weights"


def write(path: Path, network: Network, about: dict[str, str]) -> None:
    """Write the model's file, whole or not at all. `about`: its provenance, in words."""
    with explain_missing(_FILES):
        import torch
        from safetensors.torch import save_file

    state = {name: value.to(torch.float16).contiguous() for name, value in network.state_dict().items()}
    shape = msgspec.json.encode(asdict(network.shape)).decode()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    save_file(state, partial, {**about, "shape": shape, "language": network.language})
    _in_order(partial)
    partial.chmod(0o644)
    partial.replace(path)


def _in_order(path: Path) -> None:
    """Sort the metadata of a file, which safetensors writes in any order, so that the same model always has the same bytes."""
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = msgspec.json.decode(file.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        file.seek(8)
        file.write(msgspec.json.encode(header).ljust(size))


def read(path: Path, language: Language, kind: type[Network] = Network) -> Network:
    """The network of a file, of a kind.

    Raises:
        UsageError: there is no such file, or it holds something else than a model of this language.
    """
    with explain_missing(f"a file of {language.what}"):
        from safetensors import SafetensorError, safe_open

    said = about(path)
    if said.get("language") != language.name:
        raise UsageError(f"{path} holds no {language.what.removeprefix('the ')}: its words are those of {said.get('language')!r}")
    try:
        shape = msgspec.json.decode(said.get("shape", ""), type=Shape)
        with safe_open(path, "pt") as file:
            state: dict[str, Tensor] = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, msgspec.DecodeError) as error:
        raise UsageError(f"{path} holds no {language.what.removeprefix('the ')}: {error}") from None
    network = kind(shape, language)
    network.load_state_dict(state)
    return network


def about(path: Path) -> dict[str, str]:
    """What a file says of itself.

    Raises:
        UsageError: there is no such file, or it holds something else.
    """
    with explain_missing(_FILES):
        from safetensors import SafetensorError, safe_open
    try:
        with safe_open(path, "pt") as file:
            return dict(file.metadata() or {})
    except FileNotFoundError:
        raise UsageError(
            f"{path}: there is no such file; `make model`, `make model-arithmetic` and `make planner` train the models"
        ) from None
    except SafetensorError as error:
        raise UsageError(f"{path} holds no weights: {error}") from None


def name_of(path: Path, language: Language) -> str:
    """A name that changes when the weights do, so that recorded answers are never taken for those of other weights."""
    return f"{language.name}-{hashlib.blake2b(path.read_bytes(), digest_size=4).hexdigest()}"
