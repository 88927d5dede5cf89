"""How parallel work comes together. One file a join, on one way to wait (`awaited.py`), for calls and coroutines alike."""
