"""Dispatch rules against CP-SAT: `headway bench schedule`."""
