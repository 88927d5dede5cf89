"""Loading: plan the reads, read and verify the blocks, then fill the caller's state."""
