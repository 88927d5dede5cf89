"""What `headway ckpt` does, a file for each kind of question. The commands and their options are in `cli/ckpt/app.py`."""
