"""Teams: several agents or roles on one task.

from headway.methods.plan import teams
"""

from headway.methods.plan.teams.kiss import Kissed as Kissed
from headway.methods.plan.teams.kiss import fan_out as fan_out
from headway.methods.plan.teams.kiss import kiss as kiss
from headway.methods.plan.teams.worktree import Change as Change
from headway.methods.plan.teams.worktree import GitFailed as GitFailed
from headway.methods.plan.teams.worktree import Merge as Merge
from headway.methods.plan.teams.worktree import Worked as Worked
from headway.methods.plan.teams.worktree import in_worktrees as in_worktrees
from headway.methods.plan.teams.worktree import remove_worktrees as remove_worktrees
