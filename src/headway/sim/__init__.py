"""Simulation: the real engine on a seeded event loop and a virtual clock, killed where it hurts, and its promises checked."""
