"""Training on several processes: what a gang needs besides the runtime and its checkpoints."""

from headway.train.data_parallel import DataParallel as DataParallel
