"""The helper process: it owns the memory that a save is copied to, and hashes, writes and commits what is in it.

Why a process: the trainer's interpreter lock stays free, and a trainer that dies does not take a staged save with it. It owns the
memory (a memfd each, handed to the trainer over their socket) so that the bytes outlive the trainer as well. It is started once per
trainer process, imports neither torch nor numpy, and receives only records (`messages.py`). When the trainer is gone, the helper
completes staged saves, drops the others without a trace, and ends. It takes the same path whether the trainer ended well or badly.
When the helper dies, the trainer's side (`client.py`) says so for every save in flight and starts another for the next.

    trainer                                       helper
    HelperClient.begin(plan) -> SharedBuffer      Prepare, Begin: memory is there, data file is open
    Snapshot copies, progress(id, nbytes)         Progress: blocks are hashed and chunks written up to there
    staged(id) | abandon(id, why)                 Staged: file durable, segment sealed -> Written; committed -> Durable
"""
