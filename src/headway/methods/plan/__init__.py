"""Plans: a question becomes a graph of steps, which runs while it is still being planned.

All of these methods share one graph (`methods.graph`), whose edits are data, and one executor (`execute`), which reads the
planner's edits as they are thought of and starts each step as soon as what it needs is there. What came of a step may change the
rest of the plan; what has started can't change.

A planner proposes and never acts: only the caller's `step` does, and each step is a call, journaled and budgeted. So what a tool
answers reaches a planner only where the caller's planner looks at results.
"""

from headway.methods.plan.executor import execute as execute
from headway.methods.plan.galaxy import Device as Device
from headway.methods.plan.galaxy import LeastBusy as LeastBusy
from headway.methods.plan.galaxy import LineKind as LineKind
from headway.methods.plan.galaxy import Parallelism as Parallelism
from headway.methods.plan.galaxy import galaxy as galaxy
from headway.methods.plan.galaxy import line as line
from headway.methods.plan.galaxy import measure_parallelism as measure_parallelism
from headway.methods.plan.picture import draw as draw
from headway.methods.plan.picture import seconds_of as seconds_of
from headway.methods.plan.policies import one_by_one as one_by_one
from headway.methods.plan.policies import rounds as rounds
from headway.methods.plan.records import Asked as Asked
from headway.methods.plan.records import DeviceLost as DeviceLost
from headway.methods.plan.records import Edited as Edited
from headway.methods.plan.records import Ended as Ended
from headway.methods.plan.records import Executed as Executed
from headway.methods.plan.records import Failure as Failure
from headway.methods.plan.records import Happening as Happening
from headway.methods.plan.records import Lost as Lost
from headway.methods.plan.records import PlanFailed as PlanFailed
from headway.methods.plan.records import Planned as Planned
from headway.methods.plan.records import Refused as Refused
from headway.methods.plan.records import Started as Started
