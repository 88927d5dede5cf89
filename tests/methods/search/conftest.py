"""Lets the tests in folders below import `solvers`: pytest looks for modules where it finds a conftest."""
