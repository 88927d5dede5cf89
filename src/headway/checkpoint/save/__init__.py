"""Saving: plan who writes what, copy it into an image of the file, write it, commit it."""
