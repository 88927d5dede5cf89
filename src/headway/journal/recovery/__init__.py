"""What the rows of a run say when a driver takes it up, or when it is forked."""
