"""What a call is named by, and which version of a task its result came from."""
