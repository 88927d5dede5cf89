"""What a task is to the engine: its function, its options, and the version of its source."""
