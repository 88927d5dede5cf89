"""Comparisons: every `headway bench`, side by side on real work. Nothing below this folder knows it."""
