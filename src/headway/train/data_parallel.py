"""Data parallel training whose results do not depend on when it was killed, and hardly on how many processes did it.

    @hw.task(pool="gang", processes=2)
    def train(total: int) -> list[float]:
        replicas = DataParallel()
        for step in hw.checkpoints().steps(state, total=total, every=50):
            rows = batch(seed, step)                        # the whole batch: a pure function of the step
            loss = loss_sum(model, rows[replicas.share(len(rows))]) / len(rows)
            loss.backward()
            replicas.sum_gradients(model)                   # one all-reduce
            optimizer.step()

The order of the data is exact because a step's batch is named by the step, not drawn from a stream that has a position: a resumed
gang reads what an undisturbed one would have. A process takes every size-th row, divides by the rows of the whole batch, and
gradients are summed: so with as many processes the numbers are equal to the bit, and with others up to the order of additions.
What is random in a forward pass (dropout) is drawn by row as well: `generator`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from headway.errors import UsageError

if TYPE_CHECKING:
    import torch
    from torch import nn


class DataParallel:
    """This process's place among those that train the same model on shares of each batch. Alone outside of a gang."""

    def __init__(self) -> None:
        try:
            import torch.distributed as dist
        except ImportError:
            raise UsageError('DataParallel needs PyTorch: pip install "headway[torch]"') from None
        here = dist.is_available() and dist.is_initialized()
        self.rank: int = dist.get_rank() if here else 0
        self.size: int = dist.get_world_size() if here else 1
        self._flat: torch.Tensor | None = None

    def share(self, rows: int) -> slice:
        """Which rows of a whole batch are this process's: every size-th one.

        Raises:
            UsageError: there are fewer rows than processes.
        """
        if rows < self.size:
            raise UsageError(f"a batch of {rows} rows for {self.size} processes: some would have none; use fewer processes")
        return slice(self.rank, rows, self.size)

    def sum_gradients(self, model: nn.Module) -> None:
        """Add up the gradients of all processes, in one message. A parameter that got no gradient here counts as zeros."""
        if self.size == 1:
            return
        import torch
        import torch.distributed as dist

        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        total = sum(parameter.numel() for parameter in trained)
        if self._flat is None or self._flat.numel() != total:
            self._flat = torch.empty(total, dtype=trained[0].dtype, device=trained[0].device)
        parts = torch.split(self._flat, [parameter.numel() for parameter in trained])
        for parameter, part in zip(trained, parts, strict=True):
            if parameter.grad is None:
                part.zero_()
            else:
                part.copy_(parameter.grad.reshape(-1))
        dist.all_reduce(self._flat)
        for parameter, part in zip(trained, parts, strict=True):
            parameter.grad = (
                part.view_as(parameter).clone() if parameter.grad is None else parameter.grad.copy_(part.view_as(parameter))
            )

    def sum(self, numbers: Iterable[float]) -> list[float]:
        """The sums over all processes of some numbers, such as this share's loss."""
        import torch
        import torch.distributed as dist

        mine = torch.tensor(list(numbers), dtype=torch.float64)
        if self.size > 1:
            dist.all_reduce(mine)
        found: list[float] = mine.tolist()
        return found

    def generator(self, seed: int, step: int, row: int) -> torch.Generator:
        """What is random about a row of a step's batch, wherever it is computed."""
        import torch

        made = torch.Generator()
        made.manual_seed(hash((seed, step, row)) & (1 << 63) - 1)  # of integers: the same in every process
        return made
