"""The session of a review: items that several windows show and change, without losing a decision."""

from __future__ import annotations

from dataclasses import dataclass, replace
from threading import RLock

from detector.conversion.review import DECISIONS
from detector.errors import ArgumentError, DatasetError
from detector.review.items import ConflictError, Item, Subject

_MAX_ATTEMPTS = 100  # to save a decision while others write the files


@dataclass(frozen=True)
class Changes:
    """The changes since an earlier request.

    Args:
        number: of the latest change, for the next request.
        generation: how often the list of pictures has changed.
        items: items that changed since, in no order.
    """

    number: int
    generation: int
    items: list[Item]


class ReviewSession:
    """The items of a subject in memory, safe to use from several threads.

    A decision is on disk when :meth:`decide` returns. Changes that somebody else makes to the files, with a spreadsheet
    program or a conversion, are loaded with the next request and before the next decision.

    Args:
        subject: what is reviewed.
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
        self._is_outdated = False
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
        """Return the changes after the change with this number; after 0 all changes of this session."""
        with self._lock:
            self._refresh()
            items = [self._items[key] for key, change_number in self._changed.items() if change_number > number]
            return Changes(self._number, self._generation, items)

    def decide(self, key: str, version: int, decision: str, corrected: str = "") -> Item:
        """Decide on a picture, or undo a decision.

        Args:
            key: of the item.
            version: of the item that the page shows.
            decision: as in ``review.csv``; "" undoes it.
            corrected: the label, if the decision is "correct".

        Returns:
            The item with the decision.

        Raises:
            ConflictError: if the item was decided on elsewhere since; nothing is changed then.
            ArgumentError: if there is no such item, or the decision is not valid.
            DetectorError: if the decision cannot be written.
        """
        with self._lock:
            for _ in range(_MAX_ATTEMPTS):
                self._refresh()
                item = self._with_decision(key, version, decision, corrected)
                if item is self._items[key]:
                    return item
                if self.subject.save(item):
                    self._note(item)
                    return item
        raise DatasetError(f"{self.subject.decisions} is written by others all the time: end them, and decide again.")

    def _with_decision(self, key: str, version: int, decision: str, corrected: str) -> Item:
        """Return the item with another decision; the same object if it has that decision already.

        Raises:
            ConflictError, ArgumentError: as :meth:`decide`.
        """
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
        """Load all items again, as after a conversion."""
        with self._lock:
            self._is_outdated = True  # remains so if loading fails
            self._replace(self.subject.load())
            self._is_outdated = False

    def _problem(self, corrected: str) -> str:
        """Return why a text cannot be a label; "" if it can."""
        if not corrected:
            return "An empty label is none: type one, or drop the picture."
        if not corrected.isprintable():
            return f"The label {corrected!r} has characters that are not seen: type it again."
        return self.subject.problem(corrected)

    def _refresh(self) -> None:
        if self._is_outdated or self.subject.changed():
            self.reload()

    def _replace(self, items: list[Item]) -> None:
        """Replace the items; those that differ from before get a new version."""
        latest = {item.key: item for item in items}
        if [*latest] != [*self._items]:
            self._generation += 1
        previous, self._items = self._items, latest
        self._changed = {key: number for key, number in self._changed.items() if key in latest}
        for key, item in latest.items():
            earlier = previous.get(key)
            if earlier is None:
                continue
            if earlier == item:
                self._items[key] = replace(item, version=earlier.version)
            else:
                self._note(replace(item, version=earlier.version + 1))

    def _note(self, item: Item) -> None:
        """Replace an item, and number the change."""
        self._number += 1
        self._items[item.key], self._changed[item.key] = item, self._number
