"""Each run of the long tests looks at seeds of its own. The number they hang on is said at the end, so that it can be repeated."""

from __future__ import annotations

from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    ran = [report.nodeid for name in ("passed", "failed") for report in terminalreporter.stats.get(name, ())]
    if any("test_many_random_programs" in nodeid for nodeid in ran):
        from test_random_programs import BASE_SEED, HOW_TO_REPEAT

        terminalreporter.write_line(f"random programs: seeds from {BASE_SEED} on ({HOW_TO_REPEAT})")
