"""Side by side with peers: every number in docs/benchmarks.md can be had again by one of the commands in this folder.

    python -m benchmarks.overhead     what one call costs, next to bare asyncio and six other runtimes
    python -m benchmarks.scale        what stays true at a million calls: cost, memory, resume
    python -m benchmarks.checkpoint   saving and loading a training's state, next to torch.distributed.checkpoint

They print ratios and fail on nothing: a slow day is a line in a table, not a red build.
"""
