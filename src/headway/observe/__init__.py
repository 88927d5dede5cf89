"""What people and tools see of a run: progress while it runs, and everything that is recorded about it afterwards.

Everything here reads events or journal rows and draws. It never writes to a store and never decides anything for a run.
"""
