"""Opens models by name, as a command line or a settings file gives them.

This module must not import the models that this project trained, because they are above it. They are listed as data: a name, and
the function that opens the model, imported when somebody asks for the name. (Entry points would work only in an installed package,
not in a checkout.)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from headway.errors import UsageError
from headway.extras import explain_missing
from headway.models.base import BatchModel, Model
from headway.models.local.model import Local
from headway.models.local.needle import Needle
from headway.models.numbers.embedding import EmbeddingModel
from headway.models.openai.endpoint import Endpoint
from headway.pools.program import load_object

OPENERS: Mapping[str, tuple[str, str]] = {
    "countdown": ("the Countdown model", "headway.reference.opening:open_model"),
    "arithmetic": ("the arithmetic model", "headway.reference.opening:open_model"),
    "planner": ("the planner", "headway.reference.opening:open_model"),
    "planner-noisy": ("the noisy planner", "headway.reference.opening:open_model"),
    ".safetensors": ("a model of this project", "headway.reference.opening:open_model"),
}
"""By a name or the end of a file's name: what it opens, for a message, and the function that does, from the name."""

NAMES = (
    "countdown, arithmetic, planner, planner-noisy, gemma, needle, a .gguf file, a .safetensors file of our training, "
    "openai:MODEL, openai:MODEL@URL, program.py:NAME"
)


def open(name: str) -> Model | BatchModel:  # noqa: A001 - as a file is opened
    """Open a model by its name, as a command line or a settings file says it.

    Args:
        name: `countdown`, `arithmetic`, `planner` or `planner-noisy` (the small models that come with Headway), the path of a
            `.safetensors` file that their training wrote, `gemma` (extra `local`), the path of a `.gguf` file, `needle` (a small
            model that only asks for tools; extra `needle`), `openai:MODEL` (with `OPENAI_API_KEY`), `openai:MODEL@URL` (a server
            that speaks the protocol), or `program.py:NAME` (a model that a program of yours makes).

    Returns:
        The model.

    Raises:
        UsageError: for any other name, and without the extra or the file that it needs.

    Example:
        >>> from headway import models
        >>> models.open("openai:qwen3@http://localhost:8000/v1").name
        'qwen3'
    """
    if offered := OPENERS.get(name) or OPENERS.get(Path(name).suffix):
        what, opener = offered
        with explain_missing(what, "torch"):
            return _check_model(name, load_object(opener)(name))
    if name == "gemma":
        return Local()
    if name == "needle":
        return Needle()
    if name.endswith(".gguf"):
        return Local(Path(name))
    if name.startswith("openai:"):
        model, _, url = name.removeprefix("openai:").partition("@")
        return Endpoint(model, base_url=url or None)
    if ":" in name:
        return _check_model(name, load_object(name))
    raise UsageError(f"there is no model {name!r}; there are: {NAMES}")


def _check_model(name: str, found: object) -> Model | BatchModel:
    if not isinstance(found, Model | BatchModel | EmbeddingModel) or isinstance(found, type):
        raise UsageError(f"{name} is {type(found).__name__}, which is no model: it has no stream, no sample_batch and no embed")
    return found  # type: ignore[return-value]  # what only embeds says so when it is asked for more
