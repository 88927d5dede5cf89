"""Lets the tests in this folder import `teammates`."""
