"""For the API reference: an `Example:` in a docstring is an examples section, as Google's style has it, and not a note.

griffe knows the section only by its plural. Docstrings here say `Example:`, because nearly all have one.
"""

from __future__ import annotations

import re
from typing import Any

import griffe


class ExamplesSection(griffe.Extension):
    """Makes every `Example:` an `Examples:` before docstrings are parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
