"""Plans of parallel steps."""

from headway.methods.plan.tags import apr as apr
from headway.methods.plan.tags import multiverse as multiverse
from headway.methods.plan.tags import unified as unified
