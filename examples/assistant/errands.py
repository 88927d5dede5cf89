"""What the assistant is asked, and what a good assistant would ask its tools: the bar is known beforehand, and misses are shown.

Each errand takes one or two calls, because the models that fit a laptop without a graphics card manage no more. A larger model does
the last ones as well, which need a second turn.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Errand:
    """Something to be done.

    Attributes:
        task: as the model is told.
        wanted: the calls that it takes: a tool, and words that its arguments must hold.
    """

    task: str
    wanted: tuple[tuple[str, tuple[str, ...]], ...]


ERRANDS = (
    Errand("Which files are in the folder?", (("list_files", ()),)),
    Errand("Read the file notes.txt.", (("read_file", ("notes.txt",)),)),
    Errand("What is the capital of Italy?", (("country_facts", ("Italy",)),)),
    Errand(
        "Tell me the population of Peru and the population of Chile.", (("country_facts", ("Peru",)), ("country_facts", ("Chile",)))
    ),
    Errand("How far is it from Paris to Rome?", (("distance_km", ("Paris", "Rome")),)),
    Errand("Send a letter to ada@example.org that says: the harvest is in.", (("send_letter", ("ada@example.org",)),)),
    Errand("Which countries border Switzerland?", (("bordering_countries", ("Switzerland",)),)),
    Errand("What are the 4 largest cities of Japan?", (("largest_cities", ("Japan", "4")),)),
    Errand("Write 'buy milk' to the file todo.txt.", (("write_file", ("todo.txt", "buy milk")),)),
    Errand("Run wc -l notes.txt", (("run_command", ("wc -l notes.txt",)),)),
    Errand("What is 17 * 23?", (("calculate", ("17", "23")),)),
    Errand("In which time zone is Lima?", (("time_zone", ("Lima",)),)),
    Errand(
        "Look up the capital of Chad, then how far it is from there to Cairo.",
        (("country_facts", ("Chad",)), ("distance_km", ("N'Djamena", "Cairo"))),
    ),
)


def is_done(errand: Errand, asked: list[tuple[str, str]]) -> bool:
    """Whether all wanted calls are among those that were asked for and did not fail: by tool, and by what the arguments hold."""
    return all(
        any(name == tool and all(word.casefold() in arguments.casefold() for word in words) for tool, arguments in asked)
        for name, words in errand.wanted
    )
