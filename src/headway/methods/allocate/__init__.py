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
from headway.methods.allocate.budgets import child_budgets as child_budgets
from headway.methods.allocate.budgets import knapsack as knapsack
from headway.methods.allocate.budgets import rollout_value as rollout_value
from headway.methods.allocate.budgets import share as share
from headway.methods.allocate.budgets import smooth_rate as smooth_rate
from headway.methods.allocate.budgets import solve_knapsack as solve_knapsack
from headway.methods.allocate.costs import Blocks as Blocks
from headway.methods.allocate.costs import Growth as Growth
from headway.methods.allocate.costs import Saturation as Saturation
from headway.methods.allocate.costs import Skill as Skill
from headway.methods.allocate.costs import Transformer as Transformer
from headway.methods.allocate.costs import best_block as best_block
from headway.methods.allocate.costs import bound_count as bound_count
from headway.methods.allocate.costs import bound_order as bound_order
from headway.methods.allocate.costs import bound_search as bound_search
from headway.methods.allocate.costs import choose_model as choose_model
from headway.methods.allocate.costs import finish_in_turn as finish_in_turn
from headway.methods.allocate.costs import fit_saturation as fit_saturation
from headway.methods.allocate.costs import pass_at as pass_at
from headway.methods.allocate.curriculum import Adr as Adr
from headway.methods.allocate.curriculum import AlpGmm as AlpGmm
from headway.methods.allocate.curriculum import Box as Box
from headway.methods.allocate.curriculum import CovarGmm as CovarGmm
from headway.methods.allocate.curriculum import Episode as Episode
from headway.methods.allocate.curriculum import Riac as Riac
from headway.methods.allocate.curriculum import Taught as Taught
from headway.methods.allocate.curriculum import Teacher as Teacher
from headway.methods.allocate.curriculum import Uniform as Uniform
from headway.methods.allocate.curriculum import Unsolved as Unsolved
from headway.methods.allocate.curriculum import teach as teach
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
from headway.methods.allocate.tune import Between as Between
from headway.methods.allocate.tune import Optimum as Optimum
from headway.methods.allocate.tune import Probe as Probe
from headway.methods.allocate.tune import tune as tune
