"""Hirers that need nothing but commands: agents on this machine, and agents that any command line starts."""
