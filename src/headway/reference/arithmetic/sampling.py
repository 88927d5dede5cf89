"""The arithmetic model as a model of language: samples, values of states, and how it is opened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from headway.reference.arithmetic.tokens import LANGUAGE, LINE
from headway.reference.network import Network
from headway.reference.sampling import SmallModel

_READ = (-1, 0, 1, 2)  # from where, counted from a line's first token, its numbers, sign and result are said
_SAID = (0, 1, 2, 3)  # where they stand
_KNOWN = len(_SAID) + 2  # what a head sees of a line beside a state: how likely each is, and of the result, how open it was
_UNLIKELY = -12.0  # nats; less likely is all the same


class ArithmeticNetwork(Network):
    """A network whose head values lines: see `verifier`."""

    def make_value(self) -> nn.Module:
        return nn.Sequential(nn.Linear(self.shape.features + _KNOWN, 32), nn.SiLU(), nn.Linear(32, 1))


class ArithmeticModel(SmallModel):
    """The small model that does arithmetic line by line, and slips: a `BatchModel`.

    Its questions are reasoning-gym's `basic_arithmetic` and `chain_sum`, without negative numbers.

    Example:
        >>> model = ArithmeticModel.shipped()                                       # doctest: +SKIP
        >>> model.sample_batch([Request(prompt="(34+5)*3-12\\n", max_tokens=30)])    # doctest: +SKIP

    Source:
        Reasoning Gym, arXiv 2505.24760, for the questions.
    """

    language = LANGUAGE
    file = Path(__file__).parent / "trained" / "arithmetic.safetensors"
    kind = ArithmeticNetwork

    @torch.inference_mode()
    def values(self, texts: Sequence[str]) -> list[float]:
        """For each text that ends with a line: how likely it is, from 0 to 1, that all of its lines are right."""
        sure = [nn.functional.logsigmoid(self.network.worth(lines)) for lines in self.see_lines(texts)]
        return [float(each.sum().exp()) for each in sure]

    @torch.inference_mode()
    def see_lines(self, texts: Sequence[str]) -> list[Tensor]:
        """What the head sees of each line of each text: the model's state before the result, how likely each of the line's words
        was (nats), how open the result was, and how much likelier another one [lines, features].

        The texts must have the form of solutions.
        """
        if not texts:
            return []
        hidden, tokens = self.look(texts)
        length = tokens.shape[1]
        counts = [text.count("\n") - 1 for text in texts]
        rows = torch.tensor([row for row, count in enumerate(counts) for _ in range(count)], dtype=torch.long)
        starts = torch.tensor([length - LINE * (count - number) for count in counts for number in range(count)], dtype=torch.long)
        if len(rows) == 0:
            return [torch.zeros(0, hidden.shape[2] + _KNOWN) for _ in texts]
        read, said = starts[:, None] + torch.tensor(_READ), starts[:, None] + torch.tensor(_SAID)
        chances = torch.log_softmax(self.network.logits(hidden[rows[:, None], read]), -1)
        words = chances.gather(-1, tokens[rows[:, None], said][..., None]).squeeze(-1).clamp(min=_UNLIKELY)
        of_result = chances[:, -1]
        openness = -(of_result.exp() * of_result).sum(-1, keepdim=True)
        other = of_result.max(-1, keepdim=True).values - words[:, -1:]
        seen = torch.cat((hidden[rows, read[:, -1]], words, openness, other), -1)
        return list(torch.split(seen, counts))
