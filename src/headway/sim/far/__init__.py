"""Stores on other machines, as a simulated process has them: the connection takes time, breaks, and lies."""
