"""Training on several processes: what a gang needs besides the runtime and its checkpoints."""

from headway.train.data_parallel import DataParallel as DataParallel
from headway.train.partition import balance as balance
from headway.train.partition import fill as fill
from headway.train.partition import stages as stages
