"""The runtime itself: identity, ready queue, cancellation, retries, replay. `engine.py` tells a call's way through it."""
