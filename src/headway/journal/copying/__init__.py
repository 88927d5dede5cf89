"""Copying runs from one store to another, whichever they are, with all that goes with them, verified."""
