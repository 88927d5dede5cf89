"""Answers of a type: the form of a type, how a server is told of it, and the call that asks, reads and mends once."""
