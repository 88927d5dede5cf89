"""The commands of `headway ckpt`, one file each. Their options are in `cli/ckpt/app.py`."""
