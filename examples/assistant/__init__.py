"""What the assistant of `examples/agent.py` works with: its tools, its errands, and a server of an atlas far away."""
