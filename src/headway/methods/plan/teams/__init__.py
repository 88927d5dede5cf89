"""Teams: several agents or roles on one task.

    from headway.methods.plan import teams
"""

from headway.methods.plan.teams.worktree import in_worktrees as in_worktrees
from headway.methods.plan.teams.worktree import remove_worktrees as remove_worktrees
