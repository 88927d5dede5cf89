"""Published ways to plan, search, allocate, schedule and judge, each a short program on the runtime.

`records` are the data that methods exchange, `protocols` the parts that a caller brings, `graph` a plan that may still change, and
`estimate` beliefs about success, cost and time. All four are pure: they know no run, clock or store, so the simulator and a
notebook use the same objects. Each folder beside them holds methods of one kind.
"""
