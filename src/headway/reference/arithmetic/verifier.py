"""The verifier of the arithmetic model: a small head that says of each line how likely it is right, where those before it are.

It sees what the model itself thought when it wrote the line: how likely each word of it was, what else it might have made, and its
state before the result. A text is right where all of its lines are, so its value is the product. The head is fitted on samples of
the finished model, on questions of their own, with right and wrong told by the true solution. It is learned, and it errs: it can't
know what the model is wrongly sure of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from headway.reference.arithmetic.expression import count_right, steps_of
from headway.reference.arithmetic.sampling import ArithmeticModel


@dataclass(frozen=True)
class Fit:
    """How a head is fitted: how often all lines are gone through, with which rate and decay of weights."""

    epochs: int = 60
    lines: int = 512
    rate: float = 3e-3
    weight_decay: float = 1e-2
    seed: int = 1


def fit_head(model: ArithmeticModel, texts: Sequence[str], fit: Fit | None = None) -> float:
    """Fit the head of a model, in place, on texts of questions and solutions that the model wrote.

    Lines after the first wrong one teach nothing: what is right there is not defined. Texts that break the form are left out.

    Args:
        model: whose head is fitted; nothing else of it changes.
        texts: questions with solutions, which end with a line.
        fit: for how long, and how fast.

    Returns:
        The loss at the end, in nats per line.

    Source:
        Let's Verify Step by Step, Lightman et al., arXiv 2305.20050; after the idea of a verifier that judges every step and takes
        the product. It departs from the paper in what judges: a small head on the writer's own states, with labels from the true
        solution.
    """
    fit = fit or Fit()
    torch.manual_seed(fit.seed)
    seen, right = _lines(model, texts)
    head = model.network.value
    for layer in head.modules():
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()
    optimizer = torch.optim.AdamW(head.parameters(), lr=fit.rate, weight_decay=fit.weight_decay)
    loss = 0.0
    for epoch in range(fit.epochs):
        for group in optimizer.param_groups:
            group["lr"] = fit.rate * (1 - epoch / fit.epochs)
        order = torch.randperm(len(seen))
        loss = 0.0
        for some in torch.split(order, fit.lines):
            lost = nn.functional.binary_cross_entropy_with_logits(head(seen[some]).squeeze(-1), right[some])
            optimizer.zero_grad()
            lost.backward()  # type: ignore[no-untyped-call]  # torch does not type it
            optimizer.step()
            loss += lost.item() * len(some) / len(seen)
    return loss


def _lines(model: ArithmeticModel, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """What the head sees of each line up to the first wrong one [N, F], and whether it is right [N]."""
    seen, right = [], []
    formed = [text for text in texts if steps_of(text) and text.endswith("\n")]
    for first in range(0, len(formed), 128):
        some = formed[first : first + 128]
        for text, lines in zip(some, model.see_lines(some), strict=True):
            good = count_right(text)
            known = min(good + 1, len(lines))
            seen.append(lines[:known])
            right += [float(number < good) for number in range(known)]
    return torch.cat(seen).clone(), torch.tensor(right)
