"""Models by name, as a command line or a settings file says them."""

from __future__ import annotations

from pathlib import Path

from headway.errors import UsageError
from headway.extras import needed
from headway.models.base import BatchModel, Model
from headway.models.local import Local
from headway.models.openai.endpoint import Endpoint
from headway.pools.program import load_object

NAMES = "countdown, gemma, a .gguf file, a Countdown model's .safetensors file, openai:MODEL, openai:MODEL@URL, program.py:NAME"


def open(name: str) -> Model | BatchModel:  # noqa: A001 - as a file is opened
    """Open a model by its name, as a command line or a settings file says it.

    Args:
        name: `countdown` (the small model that comes with Headway), the path of a `.safetensors` file that its training wrote,
            `gemma` (extra `local`), the path of a `.gguf` file, `openai:MODEL` (with `OPENAI_API_KEY`), `openai:MODEL@URL` (a
            server that speaks the protocol), or `program.py:NAME` (a model that a program of yours makes).

    Returns:
        The model.

    Raises:
        UsageError: for any other name, and without the extra or the file that it needs.

    Example:
        >>> from headway import models
        >>> models.open("openai:qwen3@http://localhost:8000/v1").name
        'qwen3'
    """
    if name == "countdown" or name.endswith(".safetensors"):
        return _countdown(name)
    if name == "gemma":
        return Local()
    if name.endswith(".gguf"):
        return Local(Path(name))
    if name.startswith("openai:"):
        model, _, url = name.removeprefix("openai:").partition("@")
        return Endpoint(model, base_url=url or None)
    if ":" in name:
        found = load_object(name)
        if not isinstance(found, Model | BatchModel) or isinstance(found, type):
            raise UsageError(f"{name} is {type(found).__name__}, which is no model: it has no stream and no sample_batch")
        return found
    raise UsageError(f"there is no model {name!r}; there are: {NAMES}")


def _countdown(name: str) -> BatchModel:
    with needed("the Countdown model"):
        from headway.reference.countdown.sampling import CountdownModel
    return CountdownModel.shipped() if name == "countdown" else CountdownModel.load(name)
