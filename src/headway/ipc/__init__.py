"""Processes of our own: framed messages, shared memory, file descriptors."""
