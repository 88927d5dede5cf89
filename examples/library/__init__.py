"""What `examples/research.py` reads in: a small web without a network, served over MCP, and the questions that are asked of it."""
