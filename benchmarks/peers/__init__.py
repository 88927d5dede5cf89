"""One module a side, each the shapes of `benchmarks.shapes` written the way that side's own documentation writes them.

A module has `start(folder)`, `run(kind, calls)` and `stop()`. Only `run` is timed: clusters, servers and databases
are up before, and each has run a small warm-up of the shape. A module imports its own peer and the standard library,
never another peer.
"""
