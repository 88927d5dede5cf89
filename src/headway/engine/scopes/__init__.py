"""Budgets, deadlines and limits of one run: who may start now, what is reserved, what was spent."""
