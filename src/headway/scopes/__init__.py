"""What bounds work: budget, deadline, limit. Opened with `with`, inherited by every call made inside, visible to programs.

    with hw.budget(tokens=20_000, money=0.50), hw.deadline(seconds=120):
        return await refine(draft)

Outside of a run the same lines do nothing, so a program can be tried without one. What decides about them is in `engine/scopes`.
"""
