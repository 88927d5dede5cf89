"""The command line: `headway run program.py:task`, and what else one asks of a store from a shell.

Commands are thin: they read options, call one function of another room, and print. People get tables on stdout; programs get
`--json`, one document on stdout whose keys are in `documents`. Everything else (progress, notes, errors) goes to stderr.

This file must import nothing that is slow: `headway --help` answers in a blink.
"""

from __future__ import annotations


def main() -> None:
    """The entry point of the `headway` command."""
    from headway.cli.app import app

    app(prog_name="headway")
