"""Record what a task did, and replay it for the next one as far as the world still looks the same.

`tree` holds the actions of all tasks (frozen), `likeness` says which tasks begin alike, `choosing` picks what is replayed next and
guards it, `replaying` runs a task, `kept` keeps the traces in a memory.
"""
