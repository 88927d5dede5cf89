"""Runs as a service: enqueue them, and any number of workers on any number of machines takes them up."""
