"""Calls that hand items out while they run: what is recorded of them, and what a program holds of them."""
