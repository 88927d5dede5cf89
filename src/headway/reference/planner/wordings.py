"""The sentences that questions are asked in, by family: frames for the phrases of `phrases`.

The braces of a sentence name its parts: see `writer`. Its tables have two halves as well, one that training sees and one that it
never does.
"""

from __future__ import annotations

import re
from dataclasses import fields

from headway.reference.planner.phrases import BARE, FIELDS, THINGS, Wordings

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
        "of {list}, which {do} {rest} than {b}",
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
