"""The command line: `headway run program.py:task`, and the other commands on stores, checkpoints and models.

Commands are thin: they read options, call one function of another room, and print. People get tables on stdout; programs get
`--json`, one document on stdout whose keys are in `documents`. Everything else (progress, notes, errors) goes to stderr.

This file must import nothing slow: `headway --help` has to answer at once.
"""

from __future__ import annotations


def main() -> None:
    """The entry point of the `headway` command."""
    from headway.cli.app import app

    app(prog_name="headway")
