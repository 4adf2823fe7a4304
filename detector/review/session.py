"""A review that goes on: what several windows see and decide, with nothing lost between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from threading import RLock

from detector.conversion.review import DECISIONS
from detector.errors import ArgumentError, DatasetError
from detector.review.items import ConflictError, Item, Subject

_TRIES = 100  # to save a decision between what others write


@dataclass(frozen=True)
class Changes:
    """What changed since a number that was told before.

    Args:
        number: to ask with the next time.
        generation: counts how often the list itself became another one.
        items: those decided on since, in no order.
    """

    number: int
    generation: int
    items: list[Item]


class ReviewSession:
    """The items of a subject in memory, and the one way to change them; safe to use from several threads.

    A decision is on disk when :meth:`decide` returns. What somebody else writes into the files meanwhile, with a
    table program or a conversion, is taken up before the next decision and with the next question.
    """

    def __init__(self, subject: Subject) -> None:
        """Read all items.

        Raises:
            DetectorError: if a file cannot be understood.
        """
        self.subject = subject
        self._lock = RLock()
        self._number = self._generation = 0
        self._items: dict[str, Item] = {}
        self._changed: dict[str, int] = {}
        self._unread = False
        self._replace(subject.load())

    def items(self) -> list[Item]:
        """Return all items, in the order to decide in."""
        with self._lock:
            self._refresh()
            return list(self._items.values())

    def item(self, key: str) -> Item | None:
        """Return an item as it was last loaded; None if there is none of that key."""
        with self._lock:
            return self._items.get(key)

    def since(self, number: int) -> Changes:
        """What changed after an earlier answer had this number; 0 has all that was decided in this session."""
        with self._lock:
            self._refresh()
            items = [self._items[key] for key, at in self._changed.items() if at > number]
            return Changes(self._number, self._generation, items)

    def decide(self, key: str, version: int, decision: str, corrected: str = "") -> Item:
        """Decide on a picture, or take a decision back.

        Args:
            key: of the item.
            version: of the item that the person saw.
            decision: as in ``review.csv``; "" takes it back.
            corrected: the label, where it is "correct".

        Returns:
            The item as it is now.

        Raises:
            ConflictError: if it was decided on elsewhere meanwhile; nothing is changed then.
            ArgumentError: if there is no such item, or the decision is none.
            DetectorError: if it cannot be written.
        """
        with self._lock:
            for _ in range(_TRIES):
                self._refresh()
                decided = self._decided(key, version, decision, corrected)
                if decided is self._items[key]:
                    return decided
                if self.subject.save(decided):
                    self._note(decided)
                    return decided
        raise DatasetError(f"{self.subject.decisions} is written by others all the time: end them, and decide again.")

    def _decided(self, key: str, version: int, decision: str, corrected: str) -> Item:
        """Return the item with another decision; itself if it has that one already."""
        item = self._items.get(key)
        if item is None:
            raise ArgumentError("The list has no such picture any more: load the page again.")
        if decision not in ("", *DECISIONS):
            raise ArgumentError(f"The decision {decision!r} is none of {', '.join(DECISIONS)}.")
        corrected = corrected.strip() if decision == "correct" else ""
        if (item.decision, item.corrected) == (decision, corrected):
            return item
        if item.version != version:
            raise ConflictError(item)
        if decision == "accept" and not item.text:
            raise ArgumentError("There is no label to accept: type one, or drop the picture.")
        if decision == "correct" and (problem := self._problem(corrected)):
            raise ArgumentError(problem)
        return replace(item, decision=decision, corrected=corrected, version=item.version + 1)

    def reload(self) -> None:
        """Read all items anew: after a conversion."""
        with self._lock:
            self._unread = True  # until it could be read
            self._replace(self.subject.load())
            self._unread = False

    def _problem(self, corrected: str) -> str:
        if not corrected:
            return "An empty label is none: type one, or drop the picture."
        if not corrected.isprintable():
            return f"The label {corrected!r} has characters that are not seen: type it again."
        return self.subject.problem(corrected)

    def _refresh(self) -> None:
        if self._unread or self.subject.changed():
            self.reload()

    def _replace(self, items: list[Item]) -> None:
        """Replace the items; known ones keep their versions, or count one more where they differ."""
        latest = {item.key: item for item in items}
        if [*latest] != [*self._items]:
            self._generation += 1
        previous, self._items = self._items, latest
        self._changed = {key: at for key, at in self._changed.items() if key in latest}
        for key, item in latest.items():
            earlier = previous.get(key)
            if earlier is None:
                continue
            if earlier == item:
                self._items[key] = replace(item, version=earlier.version)
            else:
                self._note(replace(item, version=earlier.version + 1))

    def _note(self, item: Item) -> None:
        self._number += 1
        self._items[item.key], self._changed[item.key] = item, self._number
