"""How questions about countries are worded: phrases for what is asked, and sentences for each family of questions.

Each table has two halves. Training sees `seen`; `kept` is never trained on, so that a measurement can tell a model that understands
a wording from one that has learned it by heart. In a phrase `{e}` stands for a country or a thing of one ("the capital of Italy"),
in a sentence the braces name its parts: see `questions`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Wordings:
    """Phrases that mean the same: those of training, and those that it never sees."""

    seen: tuple[str, ...]
    kept: tuple[str, ...]


@dataclass(frozen=True)
class Field:
    """How a field is spoken of.

    Attributes:
        noun: "the area of {e}".
        asked: "how large is {e}".
        more: what one of two has that has more of it, as verb and rest: ("has", "a larger area").
        less: the same of the one that has less.
        most: of several.
        least: of several.
    """

    noun: Wordings
    asked: Wordings
    more: Wordings
    less: Wordings
    most: Wordings
    least: Wordings


FIELDS = {
    "area": Field(
        Wordings(
            (
                "the area of {e}",
                "the total area of {e}",
                "the surface area of {e}",
                "the size of {e}",
                "the territory of {e}",
                "the extent of {e}",
            ),
            ("the surface of {e}", "the land that {e} covers"),
        ),
        Wordings(
            (
                "how large is {e}",
                "how big is {e}",
                "how many square kilometres does {e} cover",
                "what area does {e} have",
                "how much land does {e} cover",
                "how vast is {e}",
            ),
            ("how much area does {e} cover", "how many square kilometres does {e} have"),
        ),
        Wordings(
            (
                "is larger",
                "is bigger",
                "has a larger area",
                "has a bigger area",
                "covers more land",
                "covers more square kilometres",
            ),
            ("has the bigger territory", "covers a larger area"),
        ),
        Wordings(
            ("is smaller", "has a smaller area", "covers less land", "covers fewer square kilometres"), ("covers a smaller area",)
        ),
        Wordings(
            ("is the largest", "is the biggest", "has the largest area", "has the biggest territory", "covers the most land"),
            ("covers the largest area", "covers the most square kilometres"),
        ),
        Wordings(
            ("is the smallest", "has the smallest area", "has the smallest territory", "covers the least land"),
            ("covers the smallest area",),
        ),
    ),
    "population": Field(
        Wordings(
            (
                "the population of {e}",
                "the number of people in {e}",
                "the number of inhabitants of {e}",
                "the total population of {e}",
                "the headcount of {e}",
                "the number of residents of {e}",
            ),
            ("the number of people who live in {e}", "the number of residents in {e}"),
        ),
        Wordings(
            (
                "how many people live in {e}",
                "how many inhabitants does {e} have",
                "how many people does {e} have",
                "how populous is {e}",
                "how many people are there in {e}",
                "how many people inhabit {e}",
            ),
            ("how many residents does {e} have", "how many inhabitants are there in {e}", "how large is the population of {e}"),
        ),
        Wordings(
            (
                "is more populous",
                "has more people",
                "has more inhabitants",
                "has a larger population",
                "has a bigger population",
                "counts more people",
            ),
            ("has more residents", "counts more inhabitants"),
        ),
        Wordings(
            ("is less populous", "has fewer people", "has fewer inhabitants", "has a smaller population"), ("has fewer residents",)
        ),
        Wordings(
            ("is the most populous", "has the most people", "has the most inhabitants", "has the largest population"),
            ("has the biggest population", "has the most residents", "counts the most people"),
        ),
        Wordings(
            ("is the least populous", "has the fewest people", "has the fewest inhabitants", "has the smallest population"),
            ("has the lowest population", "has the fewest residents"),
        ),
    ),
    "coastline": Field(
        Wordings(
            (
                "the coastline of {e}",
                "the length of the coast of {e}",
                "the length of the coastline of {e}",
                "the coast of {e}",
                "the shoreline of {e}",
            ),
            ("the total coastline of {e}", "the length of the shoreline of {e}"),
        ),
        Wordings(
            (
                "how long is the coast of {e}",
                "how long is the coastline of {e}",
                "how many kilometres of coast does {e} have",
                "how much coastline does {e} have",
            ),
            ("how much coast does {e} have", "how many kilometres of coastline are there in {e}"),
        ),
        Wordings(
            ("has a longer coast", "has a longer coastline", "has more coast", "has more kilometres of coast"),
            ("has more coastline", "has a longer shoreline"),
        ),
        Wordings(("has a shorter coast", "has a shorter coastline", "has less coast"), ("has less coastline",)),
        Wordings(
            ("has the longest coast", "has the longest coastline", "has the most coast", "has the most kilometres of coast"),
            ("has the most coastline", "has the longest shoreline"),
        ),
        Wordings(("has the shortest coast", "has the shortest coastline", "has the least coast"), ("has the least coastline",)),
    ),
    "neighbours": Field(
        Wordings(
            (
                "the number of neighbours of {e}",
                "the number of countries that border {e}",
                "the number of bordering countries of {e}",
                "the number of neighbouring countries of {e}",
            ),
            ("the number of countries that share a border with {e}", "the number of borders of {e}"),
        ),
        Wordings(
            (
                "how many neighbours does {e} have",
                "how many countries border {e}",
                "how many countries does {e} border",
                "with how many countries does {e} share a border",
            ),
            ("how many countries share a border with {e}", "how many neighbouring countries does {e} have"),
        ),
        Wordings(("has more neighbours", "has more borders", "borders more countries"), ("has more neighbouring countries",)),
        Wordings(("has fewer neighbours", "has fewer borders", "borders fewer countries"), ("has fewer neighbouring countries",)),
        Wordings(
            ("has the most neighbours", "has the most borders", "borders the most countries"),
            ("has the most neighbouring countries",),
        ),
        Wordings(
            ("has the fewest neighbours", "has the fewest borders", "borders the fewest countries"),
            ("has the fewest neighbouring countries",),
        ),
    ),
    "latitude": Field(
        Wordings(("the latitude of {e}", "the northern latitude of {e}"), ("the latitude on which {e} lies",)),
        Wordings(
            ("how far north is {e}", "at what latitude is {e}", "on what latitude does {e} lie"), ("how far to the north is {e}",)
        ),
        Wordings(
            ("is further north", "lies further north", "has a higher latitude", "lies more to the north"),
            ("has a more northern latitude", "is more to the north"),
        ),
        Wordings(
            ("is further south", "lies further south", "has a lower latitude", "lies more to the south"), ("is more to the south",)
        ),
        Wordings(
            ("is the furthest north", "lies furthest north", "has the highest latitude", "lies the furthest north"),
            ("lies furthest to the north",),
        ),
        Wordings(
            ("is the furthest south", "lies furthest south", "has the lowest latitude", "lies the furthest south"),
            ("lies furthest to the south",),
        ),
    ),
    "elevation": Field(
        Wordings(
            ("the elevation of {e}", "the height of {e}", "the altitude of {e}", "the height above the sea of {e}"),
            ("the altitude above the sea of {e}", "the elevation above the sea of {e}"),
        ),
        Wordings(
            ("how high is {e}", "how tall is {e}", "what elevation does {e} have"),
            ("what height does {e} have", "how high above the sea is {e}"),
        ),
        Wordings(("is higher", "is taller", "has a higher elevation", "has a greater height"), ("has a greater elevation",)),
        Wordings(("is lower", "has a lower elevation", "is less high"), ("has a lower height",)),
        Wordings(
            ("is the highest", "is the tallest", "has the highest elevation", "has the greatest height"),
            ("has the greatest elevation",),
        ),
        Wordings(("is the lowest", "has the lowest elevation", "is the least high"), ("has the lowest height",)),
    ),
    "length": Field(
        Wordings(("the length of {e}", "the total length of {e}"), ("the number of kilometres that {e} flows",)),
        Wordings(
            ("how long is {e}", "how many kilometres long is {e}", "what length does {e} have"),
            ("how many kilometres does {e} have",),
        ),
        Wordings(("is longer", "has a greater length", "flows further"), ("has more length",)),
        Wordings(("is shorter", "has a smaller length"), ("has less length",)),
        Wordings(("is the longest", "has the greatest length"), ("has the most length",)),
        Wordings(("is the shortest", "has the smallest length"), ("has the least length",)),
    ),
}
"""The fields that are numbers."""

THINGS = {
    "capital": Wordings(
        (
            "the capital of {e}",
            "the capital city of {e}",
            "{e}'s capital",
            "the seat of government of {e}",
            "the national capital of {e}",
        ),
        ("{e}'s capital city", "{e}'s seat of government", "the city that is the capital of {e}"),
    ),
    "largest city": Wordings(
        (
            "the largest city of {e}",
            "the largest city in {e}",
            "{e}'s largest city",
            "the biggest city of {e}",
            "the main city of {e}",
        ),
        ("the biggest city in {e}", "{e}'s biggest city"),
    ),
    "highest point": Wordings(
        (
            "the highest point of {e}",
            "the highest mountain of {e}",
            "{e}'s highest point",
            "the tallest mountain in {e}",
            "the highest peak in {e}",
        ),
        ("{e}'s highest peak", "{e}'s highest mountain", "the highest mountain in {e}"),
    ),
    "longest river": Wordings(
        (
            "the longest river of {e}",
            "the longest river in {e}",
            "{e}'s longest river",
            "the main river of {e}",
            "the river of {e} with the greatest length",
        ),
        ("{e}'s main river", "the longest of the rivers of {e}"),
    ),
    "largest neighbour": Wordings(
        (
            "the largest neighbour of {e}",
            "the biggest neighbour of {e}",
            "{e}'s largest neighbour",
            "the largest country that borders {e}",
            "the neighbour of {e} with the largest area",
        ),
        ("{e}'s biggest neighbour", "the biggest country that borders {e}", "the neighbour of {e} that is the largest"),
    ),
    "most populous neighbour": Wordings(
        (
            "the most populous neighbour of {e}",
            "{e}'s most populous neighbour",
            "the most populous country that borders {e}",
            "the neighbour of {e} with the most people",
            "the neighbour of {e} with the largest population",
        ),
        ("the neighbour of {e} with the most inhabitants", "the most populous of the neighbours of {e}"),
    ),
}
"""The fields that are things, which have fields of their own."""

OPENINGS = Wordings(
    (
        "{q}?",
        "{q}?",
        "{q}?",
        "{q}?",
        "Could you find out for me: {q}?",
        "Would you say: {q}?",
        "I am looking for an answer: {q}?",
        "Please tell me: {q}?",
        "Tell me, {q}?",
        "Quick question: {q}?",
        "For a report, {q}?",
        "I wonder: {q}?",
        "Can you find out this: {q}?",
        "According to the atlas, {q}?",
        "{q}, please?",
        "{q}, according to the atlas?",
        "My question is: {q}?",
        "Look this up for me: {q}?",
    ),
    ("Please find out: {q}?", "I would like to know this: {q}?", "A question for you: {q}?", "{q}, in the atlas?"),
)
"""What is said around a question."""

WISHES = Wordings(
    (
        "what is {n}?",
        "what is {n}?",
        "what is {n}?",
        "Give me {n}.",
        "Tell me {n}.",
        "Find {n}.",
        "Look up {n}.",
        "I need {n}.",
        "Please look up {n} for me.",
        "Find out {n}, please.",
        "I want to know {n}.",
        "What do you know about {n}?",
        "State {n}.",
        "For my report I need {n}.",
        "Could you find {n}?",
        "I would like to see {n}.",
        "How much is {n}?",
        "Get {n} from the atlas.",
    ),
    (
        "Could you tell me {n}?",
        "I am looking for {n}.",
        "Please find {n}.",
        "Get me {n}.",
        "Do you know {n}?",
        "I would like to know {n}.",
    ),
)
"""How a value is asked for by its noun."""

WHICH = Wordings(
    (
        "which of {list} {does}",
        "which one of {list} {does}",
        "of {list}, which {does}",
        "among {list}, which one {does}",
        "which {does}, {list}",
        "which {does}: {list}",
        "what is the one of {list} that {does}",
        "out of {list}, what {does}",
        "if you compare {list}, what {does}",
        "from {list}, which {does}",
    ),
    ("if you compare {list}, which one {does}", "from {list}, which is the one that {does}", "which among {list} {does}"),
)
"""Which of several has the most or the least; `{list}` ends with "and" or "or"."""

WHETHER = Wordings(
    (
        "{do} {a} {rest} than {b}",
        "{do} {a} {rest} than {b}",
        "is it true that {a} {does} than {b}",
        "is it the case that {a} {does} than {b}",
        "compared with {b}, {do} {a} {rest}",
        "true or false: {a} {does} than {b}",
        "can one say that {a} {does} than {b}",
        "is it right to say that {a} {does} than {b}",
        "{a} {does} than {b}, is that so",
    ),
    ("is it right that {a} {does} than {b}", "would you say that {a} {does} than {b}", "{a} {does} than {b}, true or false"),
)
"""Whether one has more of something than another."""

SUMS = {
    "add": Wordings(
        (
            "the sum of {nouns}",
            "{noun_list} together",
            "{noun_list} combined",
            "{noun_list} in total",
            "the combined {bare} of {list}",
            "the total of {nouns}",
            "{noun_list} added up",
            "{noun_list}, all taken together",
            "the summed {bare} of {list}",
        ),
        ("the sum total of {nouns}", "{noun_list} taken together", "the total {bare} of {list} together"),
    ),
    "average": Wordings(
        (
            "the average of {nouns}",
            "the mean of {nouns}",
            "the average {bare} of {list}",
            "the mean {bare} of {list}",
            "{noun_list} on average",
            "the average {bare} among {list}",
            "the average value of {nouns}",
        ),
        ("the mean value of {nouns}", "{noun_list} in the mean", "the mean {bare} among {list}"),
    ),
    "difference": Wordings(
        (
            "the difference between {x} and {y}",
            "the difference of {x} and {y}",
            "{x} minus {y}",
            "{x} less {y}",
            "how far apart {x} and {y} are",
            "the gap between {x} and {y}",
            "how much {x} and {y} differ",
            "{x} compared with {y} by their difference",
        ),
        ("the difference that lies between {x} and {y}", "the gap that lies between {x} and {y}", "how far {x} and {y} differ"),
    ),
    "ratio": Wordings(
        (
            "the ratio of {x} to {y}",
            "the ratio between {x} and {y}",
            "{x} divided by {y}",
            "{x} as a share of {y}",
            "{x} in relation to {y}",
            "the quotient of {x} and {y}",
            "{x} as a fraction of {y}",
            "the proportion of {x} and {y}",
        ),
        ("the fraction that {x} is of {y}", "{x} over {y}", "the proportion of {x} to {y}"),
    ),
}
"""Values that are made from values; `{bare}` is a field's noun alone, `{nouns}` names the field for each."""

BARE = {
    "area": Wordings(("area", "size", "surface area", "extent"), ("surface",)),
    "population": Wordings(("population", "number of people", "number of inhabitants", "headcount"), ("number of residents",)),
    "coastline": Wordings(("coastline", "length of coast"), ("length of coastline",)),
    "neighbours": Wordings(("number of neighbours", "number of bordering countries"), ("number of neighbouring countries",)),
    "latitude": Wordings(("latitude",), ("northern latitude",)),
    "elevation": Wordings(("elevation", "height"), ("altitude",)),
    "length": Wordings(("length",), ("number of kilometres",)),
}
"""A field's noun, where what it is of comes later."""

FILTERS = Wordings(
    (
        "which of {list} {do} {rest} than {b}",
        "which ones of {list} {do} {rest} than {b}",
        "among {list}, which {do} {rest} than {b}",
        "name those of {list} that {do} {rest} than {b}",
        "list all of {list} that {do} {rest} than {b}",
        "which out of {list} {do} {rest} than {b}",
        "compared with {b}, which of {list} {do} {rest}",
        "find all of {list} that {do} {rest} than {b}",
        "what places of {list} {do} {rest} than {b}",
    ),
    (
        "what ones of {list} {do} {rest} than {b}",
        "find those among {list} that {do} {rest} than {b}",
        "than {b}, which of {list} {do} {rest}",
    ),
)
"""Which of several have more of something than another one; verbs are plural."""

COUNTS = Wordings(
    (
        "how many of {list} {do} {rest} than {b}",
        "among {list}, how many {do} {rest} than {b}",
        "count those of {list} that {do} {rest} than {b}",
        "what is the number of those of {list} that {do} {rest} than {b}",
        "compared with {b}, how many of {list} {do} {rest}",
        "out of {list}, how many {do} {rest} than {b}",
        "find how many of {list} {do} {rest} than {b}",
    ),
    ("how many out of {list} {do} {rest} than {b}", "find the number of those of {list} that {do} {rest} than {b}"),
)
"""How many of several."""

CHOSEN = Wordings(
    (
        "the one of {list} that {does}",
        "whichever of {list} {does}",
        "the one among {list} that {does}",
        "the country of {list} that {does}",
        "that one of {list} which {does}",
        "the country which {does} among {list}",
        "whichever country out of {list} {does}",
    ),
    ("the country among {list} which {does}", "whichever one among {list} {does}"),
)
"""One of several, by a field; things of it are asked for."""


def list_words() -> set[str]:
    """The words of all wordings that training sees, in lower case."""
    tables = [*THINGS.values(), *SUMS.values(), *BARE.values(), OPENINGS, WISHES, WHICH, WHETHER, FILTERS, COUNTS, CHOSEN]
    tables += [getattr(field, each.name) for field in FIELDS.values() for each in fields(field)]
    phrases = [phrase for table in tables for phrase in table.seen]
    plain = [re.sub(r"\{\w+\}", " ", phrase).replace("'s", " 's ") for phrase in phrases]
    verbs = ("do", "does", "is", "are", "have", "cover", "lie", "flow", "border")
    plurals = ("capitals", "largest cities", "highest points", "longest rivers")
    return {word for phrase in (*plain, *verbs, *plurals) for word in re.findall(r"'s|[^\W_]+", phrase.lower())}
