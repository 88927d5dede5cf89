"""Queues of runs in Postgres: what differs there from a folder, and how to enqueue inside a transaction of the user's own."""
