"""The files of a checkpoint: fragments, segments, manifest and HEAD, as docs/checkpoint-format.md has them."""
