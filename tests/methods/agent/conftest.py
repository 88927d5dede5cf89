"""Lets the tests in this folder import `scripted`."""
