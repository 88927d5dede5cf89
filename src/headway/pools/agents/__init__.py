"""Processes on other machines: agents that somebody hires and that work for a run, and the pools that use them.

A hirer gets agents from wherever there are machines (`hirer`); an agent is Headway's own program, which dials the driver and runs
worker processes there (`agent`); the staff of a run decides when to hire and when to dismiss (`staff`); the pools are those of this
machine with workers at the end of a line (`process`, `gang`, `far_worker`).
"""
