"""Plain values of a state: to JSON, and back to the same Python values."""
