"""How a budget is divided: rollouts over prompts by what they teach, amounts over children with a share for the parent."""

from headway.methods.allocate.budgets.knapsack import knapsack as knapsack
from headway.methods.allocate.budgets.knapsack import rollout_value as rollout_value
from headway.methods.allocate.budgets.knapsack import smooth_rate as smooth_rate
from headway.methods.allocate.budgets.knapsack import solve_knapsack as solve_knapsack
from headway.methods.allocate.budgets.shares import child_budgets as child_budgets
from headway.methods.allocate.budgets.shares import share as share
