"""Published ways to plan, search, allocate, schedule and judge, each a short program on the runtime.

`records` are what methods tell each other, `protocols` what a caller brings, `graph` a plan that may still change, `estimate` what
is believed about success, cost and time. All four are pure: they know no run, no clock and no store, so that the simulator and a
notebook use the very same objects. Each folder beside them holds methods of one kind.
"""
