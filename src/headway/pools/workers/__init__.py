"""Worker processes: what runs in one, what its pool sees of it, and what they say to each other."""
