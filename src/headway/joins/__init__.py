"""How parallel work comes together. One file per join, all on one way to wait (`engine/waiting/until.py`), for calls and coroutines
alike."""
