"""Lets the tests in this folder import what they share."""
