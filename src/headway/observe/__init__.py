"""What people and tools see of a run: progress while it goes, and afterwards all that is recorded of it.

Everything here reads events or journal rows and draws. It never writes to a store and never decides anything for a run.
"""
