"""Budgets, deadlines and limits of one run: who may start now, who waits, what is reserved, what was spent."""
