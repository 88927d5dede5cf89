"""Spends compute where it pays: plans and maps that run under a policy."""

from headway.methods.allocate.base import Seq as Seq
from headway.methods.allocate.executor import run_map as run_map
from headway.methods.allocate.executor import run_plan as run_plan
from headway.methods.allocate.ran import Ran as Ran
from headway.methods.allocate.ran import Turn as Turn
