"""Cryptarithm: give each letter a digit of its own so that the sum comes out.

`by_columns` adds as one does on paper: column by column from the right, with a carry. A column that does not add up ends the
branch. `by_weight` writes the sum as one equation, the sum of weight times digit is 0, fixes the letters with the largest
weights first, and ends a branch when what is left can no longer bring the sum back to zero.
"""

from __future__ import annotations

import re

from strategies.nodes import Nodes


def parse(question: str) -> tuple[list[str], str]:
    """The addends and the result.

    >>> parse("Solve this cryptarithm:\\n\\n  UCUCW\\n+   WWE\\n-------\\n  UCTYW\\n\\nEach letter stands")
    (['UCUCW', 'WWE'], 'UCTYW')
    """
    *addends, result = re.findall(r"^\+? *([A-Z]+)$", question, flags=re.MULTILINE)
    return addends, result


def by_columns(question: str, nodes: Nodes) -> str | None:
    """Column by column from the right; the result's letter follows from the others."""
    addends, result = parse(question)
    leading = {word[0] for word in (*addends, result)}
    columns = [([word[-1 - place] for word in addends if place < len(word)], result[-1 - place]) for place in range(len(result))]
    digits: dict[str, int] = {}

    def add(place: int, carry: int) -> bool:
        """Solve the columns from `place` on."""
        if place == len(columns):
            return carry == 0
        letters, below = columns[place]
        open_ = next((letter for letter in letters if letter not in digits), None)
        nodes.expand()
        if open_ is not None:
            return any(assign(open_, digit, place, carry) for digit in range(10))
        carry, digit = divmod(carry + sum(digits[letter] for letter in letters), 10)
        if below in digits:
            return digits[below] == digit and add(place + 1, carry)
        return assign(below, digit, place + 1, carry)

    def assign(letter: str, digit: int, place: int, carry: int) -> bool:
        if digit in digits.values() or (digit == 0 and letter in leading):
            return False
        digits[letter] = digit
        if add(place, carry):
            return True
        del digits[letter]
        return False

    return _answer(digits) if add(0, 0) else None


def by_weight(question: str, nodes: Nodes) -> str | None:
    """One linear equation over the letters, the heaviest first."""
    addends, result = parse(question)
    leading = {word[0] for word in (*addends, result)}
    weights: dict[str, int] = {}
    for sign, word in [*((1, word) for word in addends), (-1, result)]:
        for place, letter in enumerate(reversed(word)):
            weights[letter] = weights.get(letter, 0) + sign * 10**place
    letters = sorted(weights, key=lambda letter: (-abs(weights[letter]), letter))
    digits: dict[str, int] = {}

    def reachable(index: int, total: int) -> bool:
        """Can the letters from `index` on, each with any digit, bring the total to zero?"""
        low = sum(9 * weights[letter] for letter in letters[index:] if weights[letter] < 0)
        high = sum(9 * weights[letter] for letter in letters[index:] if weights[letter] > 0)
        return total + low <= 0 <= total + high

    def fix(index: int, total: int) -> bool:
        nodes.expand()
        if index == len(letters):
            return total == 0
        letter = letters[index]
        for digit in range(letter in leading, 10):
            after = total + digit * weights[letter]
            if digit not in digits.values() and reachable(index + 1, after):
                digits[letter] = digit
                if fix(index + 1, after):
                    return True
                del digits[letter]
        return False

    return _answer(digits) if fix(0, 0) else None


def _answer(digits: dict[str, int]) -> str:
    return ",".join(f"{letter}={digits[letter]}" for letter in sorted(digits))
