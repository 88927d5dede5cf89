"""Data parallel training whose results don't depend on when it was killed, and hardly on the number of processes.

    @hw.task(pool="gang", processes=2)
    def train(total: int) -> list[float]:
        replicas = DataParallel()
        for step in hw.checkpoints().steps(state, total=total, every=50):
            rows = batch(seed, step)                        # the whole batch: a pure function of the step
            loss = loss_sum(model, rows[replicas.share(len(rows))]) / len(rows)
            loss.backward()
            replicas.sum_gradients(model)                   # one all-reduce
            optimizer.step()

The order of the data is exact because a step's batch is a function of the step and not drawn from a stream that has a position: a
resumed gang reads what an undisturbed one would have read. With N processes, each takes every N-th row and divides by the rows of
the whole batch, and gradients are summed. So with the same number of processes results are equal to the bit, and with another
number up to the order of additions. Randomness in a forward pass (dropout) is drawn by row as well: `generator`. All processes must
begin with the same model, so initialise it from a seed. This is checked once, before the first gradients of a model are summed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import TYPE_CHECKING
from weakref import WeakSet

from headway.errors import UsageError
from headway.extras import explain_missing
from headway.train.partition import balance

if TYPE_CHECKING:
    import torch
    from torch import nn

SHOWN = 400  # characters of a list of parameters


class DataParallel:
    """This process's place among those that train the same model on shares of each batch. Alone outside of a gang.

    Attributes:
        rank: its number in the gang, from 0.
        size: how many processes the gang has.

    Example:
        >>> replicas = DataParallel()
        >>> replicas.rank, replicas.size
        (0, 1)
    """

    def __init__(self) -> None:
        with explain_missing("DataParallel"):
            import torch.distributed as dist
        here = dist.is_available() and dist.is_initialized()
        self.rank: int = dist.get_rank() if here else 0
        self.size: int = dist.get_world_size() if here else 1
        self._flat: torch.Tensor | None = None
        self._alike: WeakSet[nn.Module] = WeakSet()

    def share(self, rows: int) -> slice:
        """Which rows of a whole batch are this process's: every size-th one.

        Args:
            rows: how many the batch has.

        Returns:
            A slice of the batch's first dimension.

        Raises:
            UsageError: there are fewer rows than processes.
        """
        if rows < self.size:
            raise _too_few(rows, self.size)
        return slice(self.rank, rows, self.size)

    def share_by_length(self, lengths: Sequence[float]) -> list[int]:
        """Which rows of a whole batch are this process's, so that all processes have about as much to compute.

        As many rows as with `share`, up to one, but chosen by their lengths: those of all processes add up to about the same. The
        same lengths give the same shares, whoever asks.

        Args:
            lengths: of each row of the batch, such as its tokens.

        Returns:
            The numbers of the rows, for the batch's first dimension.

        Raises:
            UsageError: there are fewer rows than processes, or a length is no number from zero on.

        Example:
            >>> DataParallel().share_by_length([30, 10, 20])  # alone, outside of a gang
            [0, 1, 2]
        """
        if len(lengths) < self.size:
            raise _too_few(len(lengths), self.size)
        return balance(lengths, self.size, equal=True)[self.rank]

    def sum_gradients(self, model: nn.Module) -> None:
        """Add up the gradients of all processes, in one message. A parameter that got no gradient here counts as zeros.

        Args:
            model: the model, whose gradients it replaces by the sums.

        Raises:
            UsageError: nothing of the model is trained, or a parameter has another name, shape, type or value on another process
                (looked at the first time a model is seen).
        """
        if self.size == 1:
            return
        import torch.distributed as dist

        trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        if not trained:
            raise UsageError(f"no parameter of {type(model).__name__} requires a gradient, so there is nothing to sum")
        flat, parts = self._message(list(trained.values()))
        if model not in self._alike:
            self._see_same_form(trained)
            self._see_alike(trained, flat, parts)
            self._alike.add(model)
        for parameter, part in zip(trained.values(), parts, strict=True):
            if parameter.grad is None:
                part.zero_()
            else:
                part.copy_(parameter.grad)
        dist.all_reduce(flat)
        for parameter, part in zip(trained.values(), parts, strict=True):
            parameter.grad = part.to(parameter.dtype, copy=True) if parameter.grad is None else parameter.grad.copy_(part)

    def _message(self, trained: list[nn.Parameter]) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """A flat buffer with room for every parameter, and each one's part of it. It is reused while the parameters fit."""
        import torch

        sizes = [parameter.numel() for parameter in trained]
        dtype = reduce(torch.promote_types, [parameter.dtype for parameter in trained])
        if self._flat is None or self._flat.numel() != sum(sizes) or self._flat.dtype != dtype:
            self._flat = torch.empty(sum(sizes), dtype=dtype, device=trained[0].device)
        parts = torch.split(self._flat, sizes)
        return self._flat, [part.view_as(parameter) for part, parameter in zip(parts, trained, strict=True)]

    def _see_same_form(self, trained: dict[str, nn.Parameter]) -> None:
        """Compare the names, shapes and types of this process's parameters with those of rank 0: messages of different lengths
        would end the process without a word."""
        import torch
        import torch.distributed as dist

        form = repr([(name, tuple(parameter.shape), parameter.dtype) for name, parameter in trained.items()])
        device = next(iter(trained.values())).device
        mine = torch.tensor(list(hashlib.sha256(form.encode()).digest()), dtype=torch.int32, device=device)
        first = mine.clone()
        dist.broadcast(first, 0)
        others = torch.tensor([int(not torch.equal(mine, first))], dtype=torch.int32, device=device)
        dist.all_reduce(others)
        if others.item():
            raise UsageError(
                "the processes do not train the same model: names, shapes or types of its parameters differ from those of "
                f"rank 0; here they are {form[:SHOWN]}"
            )

    def _see_alike(self, trained: dict[str, nn.Parameter], flat: torch.Tensor, parts: list[torch.Tensor]) -> None:
        """Compare this process's parameters with those of rank 0."""
        import torch
        import torch.distributed as dist

        for parameter, part in zip(trained.values(), parts, strict=True):
            part.copy_(parameter.detach())
        dist.broadcast(flat, 0)
        differs = [
            not torch.allclose(part, parameter.to(part.dtype), rtol=0, atol=0, equal_nan=True)
            for parameter, part in zip(trained.values(), parts, strict=True)
        ]
        anywhere = torch.tensor(differs, dtype=torch.int32, device=flat.device)
        dist.all_reduce(anywhere)
        for name, differing in zip(trained, anywhere.tolist(), strict=True):
            if differing:
                raise UsageError(
                    f"the processes do not train the same model: {name} is not the same on all ranks; "
                    "make it from a seed (torch.manual_seed) or give all of them rank 0's parameters (dist.broadcast)"
                )

    def sum(self, numbers: Iterable[float]) -> list[float]:
        """The sums over all processes of some numbers, such as this share's loss.

        Args:
            numbers: as many on every process.

        Returns:
            Each number's sum, the same on every process.
        """
        import torch
        import torch.distributed as dist

        mine = torch.tensor(list(numbers), dtype=torch.float64)
        if self.size > 1:
            dist.all_reduce(mine)
        found: list[float] = mine.tolist()
        return found

    def generator(self, seed: int, step: int, row: int) -> torch.Generator:
        """The source of what is random about a row of a step's batch, wherever it is computed.

        Args:
            seed: of the training.
            step: the step.
            row: the row's place in the whole batch.

        Returns:
            A generator that depends on the three numbers alone.
        """
        import torch

        made = torch.Generator()
        made.manual_seed(hash((seed, step, row)) & (1 << 63) - 1)  # of integers: the same in every process
        return made


def _too_few(rows: int, size: int) -> UsageError:
    return UsageError(f"a batch of {rows} rows for {size} processes: some would have none; use fewer processes")
