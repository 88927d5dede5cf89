"""Spends compute where it pays: plans and maps that run under a policy.

    ran = await allocate.run_plan(graph, attempt, policy=allocate.Seq("small", 4), choices=("small", "large"), accept=is_right)

`executor` runs a plan or a map under any `Policy`. `base` has the simple rules, `mcpp` the policy that simulates them, `recorded`
what earlier runs have shown, `simulate` plays a plan without running anything.
"""

from headway.methods.allocate.base import OneShot as OneShot
from headway.methods.allocate.base import Priced as Priced
from headway.methods.allocate.base import Seq as Seq
from headway.methods.allocate.base import base_policies as base_policies
from headway.methods.allocate.base import until_done as until_done
from headway.methods.allocate.executor import run_map as run_map
from headway.methods.allocate.executor import run_plan as run_plan
from headway.methods.allocate.mcpp import Mcpp as Mcpp
from headway.methods.allocate.ran import Ran as Ran
from headway.methods.allocate.ran import Turn as Turn
from headway.methods.allocate.recorded import Recorded as Recorded
from headway.methods.allocate.recorded import Row as Row
from headway.methods.allocate.recorded import believe as believe
from headway.methods.allocate.recorded import read_outcomes as read_outcomes
from headway.methods.allocate.simulate import Played as Played
from headway.methods.allocate.simulate import simulate as simulate
