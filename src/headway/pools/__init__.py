"""Where code runs: inline on the event loop, in threads, in processes. `base.py` says what a pool promises."""
