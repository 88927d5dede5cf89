"""Keeping a store whole and small: doctor, repair, garbage collection."""
