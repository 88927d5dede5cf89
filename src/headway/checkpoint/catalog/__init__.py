"""Which checkpoints there are: manifests and HEAD, and what is kept, pinned, compared and collected."""
