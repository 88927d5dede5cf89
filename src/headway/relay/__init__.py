"""Calls from workers: what code in another process or machine asks of its run, and how the run answers.

The code of a call that runs elsewhere makes calls as any other does. What it asks goes to the driver as a message, over the way of
its pool (`Job.on_ask`). There the same functions do the same thing in the name of the call: keys, decisions, budgets, waits and
cancellation are those of code that runs on the driver's loop.

`wire` has the messages, `values` says how values, errors and handles cross. `host` is the driver's end and `answering` what it does
for each question; `client` is the worker's end, and `handles` and `scopes` are what a program holds there.
"""
