"""A map that keeps its old versions. Frozen graphs are made of it.

    older = PersistentMap[int]().set("a", 1)
    newer = older.set("b", 2)                 # shares all but a few hundred bytes with `older`, which is as it was

A hash trie with plain dictionaries for leaves (after Bagwell, "Ideal hash trees", 2001). A change copies one leaf and the branches
above it, about a microsecond, however large the map is. Its order follows hashes, which differ from process to process, so no
caller may depend on the order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

V = TypeVar("V")
_BITS = 5
_MASK = (1 << _BITS) - 1
_LEAF = 48  # entries of a leaf before it is split
_DEEPEST = 12  # where keys have the same hash, a leaf grows


class PersistentMap(Generic[V]):
    """From text to values; every change returns another map.

    Example:
        >>> one = PersistentMap[int]().set("a", 1)
        >>> two = one.set("b", 2).drop("a")
        >>> sorted(one), sorted(two)
        (['a'], ['b'])
    """

    __slots__ = ("_branches", "_leaf", "_level", "_size")

    def __init__(self, leaf: dict[str, V] | None = None, level: int = 0) -> None:
        self._leaf: dict[str, V] | None = leaf or {}
        self._branches: tuple[PersistentMap[V], ...] = ()
        self._level = level
        self._size = len(self._leaf or ())

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[str]:
        if self._leaf is not None:
            yield from self._leaf
        for branch in self._branches:
            yield from branch

    def __contains__(self, key: str) -> bool:
        return key in self._leaf_of(key)

    def __reduce__(self) -> tuple[object, ...]:
        """Hashes of text differ from process to process, so what is where is worked out anew."""
        return _restore, ({key: self.get(key) for key in self},)

    def get(self, key: str) -> V | None:
        """The value of a key, None where there is none."""
        return self._leaf_of(key).get(key)

    def set(self, key: str, value: V) -> PersistentMap[V]:
        """This map with one value more, or another one."""
        if self._leaf is None:
            place = self._place(key)
            return self._with(place, self._branches[place].set(key, value))
        leaf = {**self._leaf, key: value}
        whole = PersistentMap(leaf, self._level)
        return whole._split() if len(leaf) > _LEAF and self._level < _DEEPEST else whole

    def drop(self, key: str) -> PersistentMap[V]:
        """This map without a key, which need not be there."""
        if self._leaf is None:
            place = self._place(key)
            return self._with(place, self._branches[place].drop(key))
        return PersistentMap({name: value for name, value in self._leaf.items() if name != key}, self._level)

    def _leaf_of(self, key: str) -> dict[str, V]:
        at, place = self, hash(key) >> (_BITS * self._level)
        while (leaf := at._leaf) is None:
            at, place = at._branches[place & _MASK], place >> _BITS
        return leaf

    def _place(self, key: str) -> int:
        return (hash(key) >> (_BITS * self._level)) & _MASK

    def _with(self, place: int, branch: PersistentMap[V]) -> PersistentMap[V]:
        changed: PersistentMap[V] = PersistentMap(None, self._level)
        changed._leaf = None
        changed._branches = (*self._branches[:place], branch, *self._branches[place + 1 :])
        changed._size = self._size - len(self._branches[place]) + len(branch)
        return changed

    def _split(self) -> PersistentMap[V]:
        """The same entries, as branches."""
        parts: list[dict[str, V]] = [{} for _ in range(1 << _BITS)]
        for key, value in (self._leaf or {}).items():
            parts[self._place(key)][key] = value
        split: PersistentMap[V] = PersistentMap(None, self._level)
        split._leaf, split._size = None, self._size
        split._branches = tuple(PersistentMap(part, self._level + 1) for part in parts)
        return split


def _restore(entries: dict[str, V]) -> PersistentMap[V]:
    made: PersistentMap[V] = PersistentMap()
    for key, value in entries.items():
        made = made.set(key, value)
    return made
