"""What must be true of every run, read from its rows by rules of their own."""
