"""Policies side by side on workflows whose steps are puzzles for real models."""
