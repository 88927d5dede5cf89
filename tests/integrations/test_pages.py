"""Every program on the pages about other frameworks runs, and prints what its page says."""

from __future__ import annotations

from pathlib import Path

import pytest

from test_guide import DOCS, fits, run_page, steps_of

PAGES = sorted((DOCS / "integrations").glob("*.md"))
RUN = [page for page in PAGES if "```python" in page.read_text()]


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_the_programs_of_a_page_print_what_it_says(page: Path, tmp_path: Path) -> None:
    steps = [step for step in steps_of(page) if "pip install" not in step.code]
    for step, printed in zip(steps, run_page(steps, tmp_path), strict=True):
        said = step.code if step.kind == "console" else step.prints or ""
        assert fits(printed, said), f"{page.name}:\n{step.code}\nprints\n{printed}\nand the page says\n{said}"


def test_every_page_is_in_the_navigation() -> None:
    settings = (DOCS.parent / "mkdocs.yml").read_text()
    assert [page.name for page in PAGES if f"integrations/{page.name}" not in settings] == []
