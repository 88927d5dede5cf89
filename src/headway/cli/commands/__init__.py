"""The code of the commands, one module for each group of them. `cli/app.py` has their options."""
