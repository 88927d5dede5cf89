"""What is recorded of a call, and whether it still holds."""
