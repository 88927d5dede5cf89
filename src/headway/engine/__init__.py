"""The runtime itself: identity, ready queue, cancellation, retries, replay. `engine.py` describes the path of a call."""
