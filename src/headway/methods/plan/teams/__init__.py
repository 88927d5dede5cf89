"""Teams: several agents or roles on one task.

from headway.methods.plan import teams
"""

from headway.methods.plan.teams.adaptorch import Features as Features
from headway.methods.plan.teams.adaptorch import Orchestrated as Orchestrated
from headway.methods.plan.teams.adaptorch import Router as Router
from headway.methods.plan.teams.adaptorch import Tried as Tried
from headway.methods.plan.teams.adaptorch import adaptorch as adaptorch
from headway.methods.plan.teams.adaptorch import agreement as agreement
from headway.methods.plan.teams.adaptorch import features as features
from headway.methods.plan.teams.adaptorch import fit as fit
from headway.methods.plan.teams.cogwriter import Author as Author
from headway.methods.plan.teams.cogwriter import Composed as Composed
from headway.methods.plan.teams.cogwriter import ModelAuthor as ModelAuthor
from headway.methods.plan.teams.cogwriter import Unit as Unit
from headway.methods.plan.teams.cogwriter import Written as Written
from headway.methods.plan.teams.cogwriter import cogwriter as cogwriter
from headway.methods.plan.teams.cogwriter import count_words as count_words
from headway.methods.plan.teams.cogwriter import read_text as read_text
from headway.methods.plan.teams.hogwild import Board as Board
from headway.methods.plan.teams.hogwild import ModelWriter as ModelWriter
from headway.methods.plan.teams.hogwild import Sight as Sight
from headway.methods.plan.teams.hogwild import Step as Step
from headway.methods.plan.teams.hogwild import Writer as Writer
from headway.methods.plan.teams.hogwild import Wrote as Wrote
from headway.methods.plan.teams.hogwild import hogwild as hogwild
from headway.methods.plan.teams.hogwild import show_sight as show_sight
from headway.methods.plan.teams.kiss import Kissed as Kissed
from headway.methods.plan.teams.kiss import fan_out as fan_out
from headway.methods.plan.teams.kiss import kiss as kiss
from headway.methods.plan.teams.topologies import TOPOLOGIES as TOPOLOGIES
from headway.methods.plan.teams.topologies import Assignment as Assignment
from headway.methods.plan.teams.topologies import Costs as Costs
from headway.methods.plan.teams.topologies import Topology as Topology
from headway.methods.plan.teams.topologies import arrange as arrange
from headway.methods.plan.teams.topologies import chains as chains
from headway.methods.plan.teams.topologies import makespan as makespan
from headway.methods.plan.teams.topologies import seconds_of as seconds_of
from headway.methods.plan.teams.worktree import Change as Change
from headway.methods.plan.teams.worktree import GitFailed as GitFailed
from headway.methods.plan.teams.worktree import Merge as Merge
from headway.methods.plan.teams.worktree import Worked as Worked
from headway.methods.plan.teams.worktree import in_worktrees as in_worktrees
from headway.methods.plan.teams.worktree import remove_worktrees as remove_worktrees
