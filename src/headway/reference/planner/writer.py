"""Writes a random question of a family: its sentence, put together from phrases, and the plan that answers it.

The plan looks things up in the order in which a list names them, and what leads to a thing comes just before it, so that every
question has one right plan, whatever its words. (What is compared with comes last.)
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from headway.reference.planner.names import INLAND, ISLANDS, WITH_RIVERS
from headway.reference.planner.plans import Draft, Step
from headway.reference.planner.wordings import (
    BARE,
    CHOSEN,
    COUNTS,
    FIELDS,
    FILTERS,
    OPENINGS,
    SUMS,
    THINGS,
    WHETHER,
    WHICH,
    WISHES,
    Wordings,
)

COUNTRIES = tuple(sorted((*INLAND, *ISLANDS)))
OF_COUNTRIES = ("area", "population", "coastline", "neighbours")
"""Which numbers a country has."""

NEIGHBOURS = ("largest neighbour", "most populous neighbour")
OF_THINGS = {
    "capital": ("population", "latitude"),
    "largest city": ("population", "latitude"),
    "highest point": ("elevation",),
    "longest river": ("length",),
    "largest neighbour": OF_COUNTRIES,
    "most populous neighbour": OF_COUNTRIES,
}
"""Which numbers a thing has, by the field that names it."""

_PLURALS = {
    "capital": "capitals",
    "largest city": "largest cities",
    "highest point": "highest points",
    "longest river": "longest rivers",
}
_ALL_HAVE = ("capital", "largest city", "highest point")
_VERBS = {"has": "have", "covers": "cover", "lies": "lie", "flows": "flow", "borders": "border", "counts": "count"}
_ORDERS = ("name ", "list ", "count ", "find ")
_OFTEN_LIST = 5  # things of countries that a list has, at most


@dataclass(frozen=True)
class Lists:
    """How many things a list has."""

    least: int
    most: int


@dataclass(frozen=True)
class Thing:
    """What a field is asked of: a country, or a thing of one; how it is said, and the names that lead to it."""

    said: str
    path: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """Several things of one kind, a number that they all have, and how they are said together ("" where only one by one)."""

    things: list[Thing]
    field: str
    together: str = ""


class Writer:
    """Writes one question.

    Args:
        rng: decides everything.
        lists: how long lists are.
        kept: whether the wordings are those that training never sees.
    """

    def __init__(self, rng: random.Random, lists: Lists, kept: bool) -> None:
        self.rng = rng
        self.lists = lists
        self.kept = kept
        self.plan = Draft()

    def write(self, family: str) -> tuple[str, tuple[Step, ...]]:
        """A question of a family, and its plan."""
        said: str = getattr(self, f"ask_{family}")()
        return said[0].upper() + said[1:], tuple(self.plan.steps)

    def ask_single(self) -> str:
        field = self.rng.choice((*OF_COUNTRIES, *THINGS))
        return self._ask_field(self._country(_having(field)), field)

    def ask_hop(self) -> str:
        thing = self._thing(self.rng.choice(tuple(THINGS)))
        return self._ask_field(thing, self.rng.choice(OF_THINGS[thing.path[-1]]))

    def ask_deep(self) -> str:
        thing = self._thing(self.rng.choice(_ALL_HAVE), self._thing(self.rng.choice(NEIGHBOURS)))
        return self._ask_field(thing, self.rng.choice(OF_THINGS[thing.path[-1]]))

    def ask_each(self) -> str:
        group = self._countries(self._length())
        for thing in group.things:
            self._find(thing, group.field)
        return self._frame(WISHES).format(n=self._nouns(group))

    def ask_whether(self) -> str:
        group = self._group(2, 0.35)
        is_more = self.rng.random() < 0.6
        first, second = self._find_all(group)
        self.plan.then("compare", *((first, second) if is_more else (second, first)))
        of = FIELDS[group.field]
        does = self._phrase(of.more if is_more else of.less)
        do, rest = _split_verb(does)
        a, b = group.things
        return self._say(self._frame(WHETHER).format(do=do, rest=rest, does=does, a=a.said, b=b.said))

    def ask_which(self) -> str:
        group = self._group(self._length(), 0.35)
        tool, does = self._superlative(group)
        self.plan.then(tool, *self._find_all(group))
        return self._say(self._frame(WHICH).format(list=self._listed(group, self.rng.choice(("and", "or"))), does=does))

    def ask_total(self) -> str:
        group = self._group(self._length(), 0.3)
        tool = self.rng.choice(("add", "average"))
        self.plan.then(tool, *self._find_all(group))
        return self._wish(self._total(tool, group))

    def ask_pair(self) -> str:
        group = self._group(2, 0.4)
        tool = self.rng.choice(("difference", "ratio"))
        self.plan.then(tool, *self._find_all(group))
        x, y = (self._noun(thing, group.field) for thing in group.things)
        return self._wish(self._frame(SUMS[tool]).format(x=x, y=y))

    def ask_nested(self) -> str:
        group = self._group(self.rng.choice((3, 3, 4)), 0.25)
        outer, inner = self.rng.choice(("difference", "ratio")), self.rng.choice(("add", "average"))
        one_first = self.rng.random() < 0.3
        one = Group([group.things[0] if one_first else group.things[-1]], group.field)
        several = Group(group.things[1:] if one_first else group.things[:-1], group.field)
        said = {id(several): self._total(inner, several, frame=False), id(one): self._noun(one.things[0], one.field)}
        steps = [
            self._find_all(part)[0] if part is one else self.plan.then(inner, *self._find_all(part))
            for part in self._order(one, several, one_first)
        ]
        self.plan.then(outer, *steps)
        x, y = (said[id(part)] for part in self._order(one, several, one_first))
        return self._wish(self._frame(SUMS[outer]).format(x=x, y=y))

    def ask_filter(self) -> str:
        return self._say(self._filter(FILTERS))

    def ask_count(self) -> str:
        said = self._filter(COUNTS)
        self.plan.then("count", len(self.plan.steps))
        return self._say(said)

    def ask_chosen(self) -> str:
        group = self._countries(self.rng.randint(2, min(4, self.lists.most)))
        tool, does = self._superlative(group)
        chosen = self.plan.then(tool, *self._find_all(group))
        said = self._frame(CHOSEN).format(list=self._listed(group), does=does)
        if self.rng.random() < 0.35:
            field = self.rng.choice(_ALL_HAVE)
            chosen, said = self.plan.then("lookup", chosen, field), self._name_thing(field, said, False)
            wanted = self.rng.choice(OF_THINGS[field])
        else:
            wanted = self.rng.choice([each for each in (*OF_COUNTRIES, *_ALL_HAVE) if each != group.field])
        self.plan.then("lookup", chosen, wanted)
        if wanted in THINGS:
            return self._wish(self._name_thing(wanted, said, False))
        return self._wish(self._phrase(FIELDS[wanted].noun).format(e=said))

    # Parts of sentences

    def _frame(self, wordings: Wordings) -> str:
        """The sentence itself: one that training never sees, where that is wanted."""
        return self.rng.choice(wordings.kept if self.kept else wordings.seen)

    def _phrase(self, wordings: Wordings) -> str:
        is_kept = self.kept and self.rng.random() < 0.25
        return self.rng.choice(wordings.kept if is_kept else wordings.seen)

    def _name_thing(self, field: str, said: str, is_plain: bool) -> str:
        """A thing of what is said: "Italy's capital" only where that is plain, "the capital of Italy" always."""
        phrase = self._phrase(THINGS[field])
        while phrase.startswith("{e}") and not is_plain:
            phrase = self._phrase(THINGS[field])
        return phrase.format(e=said)

    def _say(self, question: str) -> str:
        said = self._phrase(OPENINGS).format(q=question)
        return said.replace("?", ".") if question.startswith(_ORDERS) else said

    def _wish(self, noun: str) -> str:
        return self._phrase(WISHES).format(n=noun)

    def _ask_field(self, thing: Thing, field: str) -> str:
        """Ask for one field of one thing."""
        self._find(thing, field)
        if field in THINGS:
            return self._frame(WISHES).format(n=self._phrase(THINGS[field]).format(e=thing.said))
        if self.rng.random() < 0.5:
            return self._say(self._frame(FIELDS[field].asked).format(e=thing.said))
        return self._frame(WISHES).format(n=self._noun(thing, field))

    def _filter(self, frames: Wordings) -> str:
        length = self._length()
        group = self._group(length + 1, 0.2) if length < _OFTEN_LIST else self._countries(length + 1)
        several = Group(group.things[:-1], group.field)
        *steps, limit = self._find_all(group)
        is_more = self.rng.random() < 0.6
        self.plan.then("above" if is_more else "below", limit, *steps)
        of = FIELDS[group.field]
        do, rest = _split_verb(self._phrase(of.more if is_more else of.less), plural=True)
        return self._frame(frames).format(list=self._listed(several), do=do, rest=rest, b=group.things[-1].said)

    def _superlative(self, group: Group) -> tuple[str, str]:
        """The tool that finds the most or the least of several, and how that is said."""
        is_most, of = self.rng.random() < 0.6, FIELDS[group.field]
        if len(group.things) == 2 and self.rng.random() < 0.6:
            return ("largest", self._phrase(of.more)) if is_most else ("smallest", self._phrase(of.less))
        return ("largest", self._phrase(of.most)) if is_most else ("smallest", self._phrase(of.least))

    def _total(self, tool: str, group: Group, *, frame: bool = True) -> str:
        """A sum or an average, as a noun."""
        wording = self._frame(SUMS[tool]) if frame else self._phrase(SUMS[tool])
        return wording.format(
            bare=self._phrase(BARE[group.field]),
            list=self._listed(group),
            nouns=self._nouns(group),
            noun_list=self._phrase(FIELDS[group.field].noun).format(e=self._listed(group)),
        )

    def _nouns(self, group: Group) -> str:
        """The area of Italy and France, or: the area of Italy and the size of France."""
        if self.rng.random() < 0.5:
            return self._phrase(FIELDS[group.field].noun).format(e=self._listed(group))
        return self._join([self._noun(thing, group.field) for thing in group.things])

    def _noun(self, thing: Thing, field: str) -> str:
        if len(thing.path) == 1 and self.rng.random() < 0.25:
            return f"{thing.said}'s {self._phrase(BARE[field])}"
        return self._phrase(FIELDS[field].noun).format(e=thing.said)

    def _listed(self, group: Group, word: str = "and") -> str:
        return group.together or self._join([thing.said for thing in group.things], word)

    def _join(self, items: list[str], word: str = "and") -> str:
        """A, B and C; with or without the last comma, or joined by the word throughout."""
        if len(items) == 1:
            return items[0]
        if self.rng.random() < 0.1:
            return f" {word} ".join(items)
        comma = "," if len(items) > 2 and self.rng.random() < 0.3 else ""
        return f"{', '.join(items[:-1])}{comma} {word} {items[-1]}"

    # Things, and the steps that find them

    def _length(self) -> int:
        return self.rng.randint(self.lists.least, self.lists.most)

    def _country(self, of: tuple[str, ...]) -> Thing:
        name = self.rng.choice(of)
        return Thing(_say_name(name), (name,))

    def _thing(self, field: str, of: Thing | None = None) -> Thing:
        of = of or self._country(_having(field))
        return Thing(self._name_thing(field, of.said, len(of.path) == 1), (*of.path, field))

    def _countries(self, count: int) -> Group:
        names = self.rng.sample(COUNTRIES, count)
        return Group([Thing(_say_name(name), (name,)) for name in names], self.rng.choice(OF_COUNTRIES))

    def _group(self, count: int, share: float) -> Group:
        """Countries, or with a chance of `share` things of countries, where these are not too many."""
        if count > _OFTEN_LIST or self.rng.random() >= share:
            return self._countries(count)
        field = self.rng.choice(tuple(THINGS) if count == 2 else tuple(_PLURALS))
        names = self.rng.sample(_having(field), count)
        things = [self._thing(field, Thing(_say_name(name), (name,))) for name in names]
        together = ""
        if field in _PLURALS and self.rng.random() < 0.5:
            together = f"the {_PLURALS[field]} of {self._join([_say_name(name) for name in names])}"
        return Group(things, self.rng.choice(OF_THINGS[field]), together)

    def _find(self, thing: Thing, field: str) -> int:
        """The step that finds a field of a thing, after those that find the thing."""
        found = self.plan.then("lookup", *(*thing.path, field)[:2])
        for each in (*thing.path, field)[2:]:
            found = self.plan.then("lookup", found, each)
        return found

    def _find_all(self, group: Group) -> list[int]:
        return [self._find(thing, group.field) for thing in group.things]

    def _order(self, one: Group, several: Group, one_first: bool) -> tuple[Group, Group]:
        return (one, several) if one_first else (several, one)


def _say_name(name: str) -> str:
    return name[0].lower() + name[1:] if name.startswith("The ") else name


def _having(field: str) -> tuple[str, ...]:
    """The countries that have such a field."""
    return INLAND if field in NEIGHBOURS else WITH_RIVERS if field == "longest river" else COUNTRIES


def _split_verb(phrase: str, plural: bool = False) -> tuple[str, str]:
    """The verb that a question begins with, and the rest of it.

    >>> _split_verb("has more people"), _split_verb("is larger", plural=True), _split_verb("covers more land", plural=True)
    (('does', 'have more people'), ('are', 'larger'), ('cover', 'more land'))
    """
    verb, rest = phrase.split(" ", 1)
    if verb == "is":
        return ("are" if plural else "is"), rest
    return (_VERBS[verb], rest) if plural else ("does", f"{_VERBS[verb]} {rest}")
