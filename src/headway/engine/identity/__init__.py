"""How calls are named, and which version of a task a result came from."""
