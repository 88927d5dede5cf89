"""A model that is served over HTTP in the tests of teams, and answers from a script: protocol paths need words that are known."""

from __future__ import annotations

import json

from teammates import Talker, Turn  # beside it in the folder

from headway.models import Message


def answer(messages: list[Message]) -> Turn:
    """What is said to the newest message, by what it asks for."""
    asked = messages[-1].text
    for sign, says in SCRIPTS.items():
        if sign in messages[0].text:
            return says(messages, asked)
    return "I do not know"


def write(messages: list[Message], asked: str) -> str:
    """A guide in two chapters, each of which misses its length at first."""
    if "Plan this text" in asked or "Check it against" in asked:
        more = ', {"name": "North", "brief": "the savanna", "length": 4}' if "revised" in asked else ""
        return f'{{"answer": [{{"name": "Coast", "brief": "the beaches", "length": 6}}{more}]}}'
    if "Lengthen it to" in asked:
        return asked.split("\n")[0] + " really"
    if "Shorten it to" in asked:
        return asked.split("\n")[0].rpartition(" ")[0]
    return "so it is here now too" if "'North' alone" in asked else "so it is here"


def hog(messages: list[Message], asked: str) -> str:
    """The first step, and then the answer once somebody has written the first."""
    return "The answer is \\boxed{42}." if "[finished]" in asked else "First, 6 * 7."


def play(messages: list[Message], asked: str) -> str:
    """A conductor that delegates once, and two players."""
    if "You may delegate 10" in asked:
        sides = (("left", []), ("right", ["double"]))
        tasks = [{"task_instruction": f"Orchestra: count hats, {side}", "model": "desk", "tools": of} for side, of in sides]
        return json.dumps({"action": "delegate_task", "params": {"tasks": tasks}})
    return json.dumps({"action": "complete", "params": {"answer": "8 hats"}})


def count(messages: list[Message], asked: str) -> str:
    return "4 hats" if "left" in asked else "nobody counted"


def code(messages: list[Message], asked: str) -> str:
    """A program of one part, in a fence."""
    if "Cut this program" in asked:
        return '{"answer": [{"name": "hello", "purpose": "greets"}]}'
    return "Here it is:\n```python\ndef hello():\n    return 'hello'\n```\n" if "Write the part" in asked else "Mind the edges."


SCRIPTS = {
    "Count numbers": code,
    "You solve a task by delegating": play,
    "Orchestra: count": count,
    "Several workers": hog,
    "guide to Ghana": write,
    "so it is here": write,
}
desk = Talker(answer, "desk")
desk.abilities = frozenset({"tools", "schema", "continues"})
