"""torch.distributed.checkpoint and DeepSpeed's universal checkpoints: written, read and taken over."""
