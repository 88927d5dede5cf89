"""How calls are named."""
