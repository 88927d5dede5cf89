"""What it costs to restore a model without its optimizer's state: a bump in the loss, drawn.

    python -m benchmarks.optimizer_state            # half a minute; writes docs/pictures/optimizer-state.svg

A small GPT learns to count in words, letter by letter. After 500 steps it is saved, and then it goes on three times over the same
data: without an interruption, from the whole checkpoint, and from the checkpoint without the optimizer's moments. Adam without
moments takes steps of full size in the direction of each gradient's sign, whatever the noise, so the loss jumps and takes a while
to come back. Everything is deterministic; with the whole state, the losses are the same to the bit.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own code gives it
from torch import nn

import headway as hw
from headway.checkpoint.state.parts.cursor import Cursor
from headway.observe.pictures.svg import PALETTE, Drawing

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "optimizer-state.svg"
CONTEXT, WIDTH, HEADS, LAYERS, BATCH = 32, 64, 4, 2, 16
LEARNING_RATE, BETAS = 3e-3, (0.9, 0.98)
UNTOLD = 16  # letters at the beginning of a piece, which can only be guessed

ONES = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
)
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"


def in_words(number: int) -> str:
    """A number below a thousand.

    >>> in_words(342)
    'three hundred forty-two'
    """
    if number >= 100:
        rest = f" {in_words(number % 100)}" if number % 100 else ""
        return f"{in_words(number // 100)} hundred{rest}"
    if number < 20:
        return ONES.split()[number - 1]
    return TENS.split()[number // 10 - 2] + (f"-{in_words(number % 10)}" if number % 10 else "")


NUMBERS = 200
TEXT = ", ".join(in_words(number) for number in range(1, NUMBERS + 1))
LETTERS = sorted(set(TEXT))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (each.unflatten(-1, (HEADS, -1)).transpose(1, 2) for each in self.qkv(self.norm1(x)).chunk(3, -1))
        x = x + self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Gpt(nn.Module):
    """From letters to the logits of the next ones."""

    def __init__(self) -> None:
        super().__init__()
        self.letters, self.places = nn.Embedding(len(LETTERS), WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, len(LETTERS))

    def forward(self, letters: torch.Tensor) -> torch.Tensor:
        x = self.letters(letters) + self.places.weight[: letters.shape[1]]
        return self.head(self.norm(self.blocks(x)))


class Training:
    """A model, its optimizer, and how far the text was read. The text is read in pieces, in an order that is all over the place."""

    def __init__(self) -> None:
        torch.manual_seed(1)
        model = Gpt()
        number = {letter: at for at, letter in enumerate(LETTERS)}
        self.text = torch.tensor([number[letter] for letter in TEXT])
        self.state: dict[str, Any] = {
            "model": model,
            "optimizer": torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, betas=BETAS),
            "data": Cursor(len(TEXT) - CONTEXT),
        }

    def step(self) -> None:
        """Learn from one batch."""
        loss = self._loss([index * 7919 % self.state["data"].total for index in self.state["data"].take(BATCH)])
        self.state["optimizer"].zero_grad()
        loss.backward()
        self.state["optimizer"].step()

    def losses(self, steps: int) -> list[float]:
        """Learn for so many steps, and say before each the loss of the same pieces of text."""
        found = []
        for _ in range(steps):
            with torch.no_grad():
                found.append(self._loss(range(0, self.state["data"].total, 101)).item())
            self.step()
        return found

    def _loss(self, begins: Iterable[int]) -> torch.Tensor:
        pieces = torch.stack([self.text[begin : begin + CONTEXT + 1] for begin in begins])
        logits = self.state["model"](pieces[:, :-1])[:, UNTOLD:]
        return F.cross_entropy(logits.flatten(0, 1), pieces[:, UNTOLD + 1 :].flatten())


class Losses(NamedTuple):
    """Until the checkpoint at `step`, and after it in three ways."""

    step: int
    before: list[float]
    uninterrupted: list[float]
    whole: list[float]
    without: list[float]


def measure(root: str | Path, before: int, shown: int, after: int) -> Losses:
    """Train, save under `root`, and go on in three ways. Of the steps before the checkpoint, the losses of the last are told."""
    training = Training()
    for _ in range(before - shown):
        training.step()
    losses = training.losses(shown)
    with hw.Checkpoints(root) as ck:
        ck.save(training.state, step=before).durable()
        return Losses(
            before,
            losses,
            training.losses(after),
            _restored(ck, lambda name: True).losses(after),
            _restored(ck, lambda name: not name.startswith("optimizer.")).losses(after),
        )


def _restored(ck: hw.Checkpoints, select: Callable[[str], bool]) -> Training:
    training = Training()
    ck.load(into=training.state, select=select)
    return training


# --- the picture -----------------------------------------------------------------------------------------------------

LEFT, RIGHT, TOP, BOTTOM, PICTURE_WIDTH, PICTURE_HEIGHT = 64, 26, 92, 54, 860, 400


def draw(losses: Losses) -> str:
    """The losses around the checkpoint."""
    drawing = Drawing(PICTURE_WIDTH)
    before, at = losses.before, losses.step
    low, high = 0.0, max(before + losses.without + losses.whole) * 1.4  # room for the legend
    width, height = PICTURE_WIDTH - LEFT - RIGHT, PICTURE_HEIGHT - TOP - BOTTOM

    def x(step: float) -> float:
        return LEFT + (step - at + len(before)) / (len(before) + len(losses.whole)) * width

    def y(loss: float) -> float:
        return TOP + (high - loss) / (high - low) * height

    def curve(first: int, values: list[float], colour: str, thickness: float) -> None:
        path = "M" + "L".join(f"{x(first + i):.1f} {y(value):.1f}" for i, value in enumerate(values))
        style = f'fill="none" stroke="{colour}" stroke-width="{thickness}" stroke-linejoin="round"'
        drawing.parts.append(f'<path d="{path}" {style}/>')

    drawing.text(LEFT, 34, "Restored without the optimizer's state, a model forgets some of what it knew", "title")
    drawing.text(LEFT, 55, "A small GPT learns to count in words: its loss, before each step, on the same pieces of text", "sub")
    _axes(drawing, x, y, range(at - len(before), at + len(losses.whole) + 1, 20), high)
    drawing.line(x(at), TOP - 4, x(at), TOP + height, "checkpoint")
    drawing.text(x(at), TOP - 10, f"checkpoint, step {at}", "tick")
    curve(at - len(before), [*before, losses.whole[0]], "#7a8794", 1.8)
    curve(at, losses.without, PALETTE[1], 2.4)
    curve(at, losses.uninterrupted, "#cdd8e6", 6.0)
    curve(at, losses.whole, PALETTE[0], 2.0)
    same = "the same" if losses.whole == losses.uninterrupted else "NOT the same"
    _legend(drawing, x(at) + 165, TOP + 14, "model and data restored, the optimizer new", f'fill="{PALETTE[1]}"')
    _legend(drawing, x(at) + 165, TOP + 36, "everything restored", f'fill="{PALETTE[0]}"')
    _legend(drawing, x(at) + 165, TOP + 58, f"never interrupted: {same} to the bit", 'fill="#cdd8e6"')
    style = "<style>.checkpoint { stroke: #1d2733; stroke-dasharray: 4 4; stroke-opacity: 0.55; }</style>"
    return drawing.finish(PICTURE_HEIGHT).replace("</style>", "</style>\n" + style, 1)


def _axes(drawing: Drawing, x: Callable[[float], float], y: Callable[[float], float], steps: range, high: float) -> None:
    apart = 0.05 if high < 0.4 else 0.2
    for loss in (apart * at for at in range(int(high / apart) + 1)):
        drawing.line(LEFT, y(loss), PICTURE_WIDTH - RIGHT, y(loss), "grid")
        drawing.text(LEFT - 8, y(loss) + 4, f"{loss:.2f}", "small")
    for step in steps:
        drawing.text(x(step), PICTURE_HEIGHT - BOTTOM + 20, str(step), "tick")
    drawing.text((LEFT + PICTURE_WIDTH - RIGHT) / 2, PICTURE_HEIGHT - 14, "step", "tick")
    drawing.text(LEFT - 8, TOP - 10, "loss", "small")


def _legend(drawing: Drawing, x: float, y: float, text: str, style: str) -> None:
    drawing.rect(x, y - 6, 20, 5, f'{style} rx="2.5"')
    drawing.text(x + 28, y, text, "sub")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--before", type=int, default=500, help="steps before the checkpoint")
    parser.add_argument("--after", type=int, default=100, help="steps after it")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # sums have one order, so the picture is the same on every run
    with tempfile.TemporaryDirectory() as root:
        losses = measure(root, arguments.before, min(arguments.before, 60), arguments.after)
    print(f"at the checkpoint {losses.whole[0]:.3f}; the highest loss after it:")
    print(f"  {max(losses.whole):.3f} from everything (as without an interruption: {losses.whole == losses.uninterrupted})")
    print(f"  {max(losses.without):.3f} without the optimizer's state")
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(draw(losses))
    print(f"wrote {PICTURE}")


if __name__ == "__main__":
    main()
