"""Checkpoints of other programs: written and read through their own interfaces, or taken over where they lie."""
