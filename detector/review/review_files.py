"""A ``review.csv`` that several processes may write, one decision at a time."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

from detector.conversion.review import ReviewRow, ReviewTable, review_table, write_table
from detector.conversion.set_folder import WAIT, alone
from detector.review.items import Item


class ReviewFile:
    """The rows of a ``review.csv`` by picture, in its order.

    Args:
        path: of the file, which need not exist yet.
        owner: the set or file that is locked while a decision is written, so that no conversion replaces the set
            meanwhile; None locks the file.
    """

    def __init__(self, path: Path, owner: Path | None = None) -> None:
        """Take the path; rows are read by :meth:`load`."""
        self.path = path
        self.rows: dict[str, ReviewRow] = {}
        self._owner = owner or path
        self._table = ReviewTable([*ReviewRow._fields], [])
        self._state: Hashable = None

    def changed(self) -> bool:
        """Test whether somebody else wrote the file since it was loaded or saved here."""
        return file_state(self.path) != self._state

    def load(self) -> None:
        """Read the rows from the file; of several about one picture that which decides, as for a conversion.

        Raises:
            DatasetError: if rows make no sense; all of them are named.
        """
        self._state = file_state(self.path)  # before reading, so that a later write counts as a change
        self._table = ReviewTable([*ReviewRow._fields], []) if self._state is None else review_table(self.path)
        self.rows = {}
        for _, row, _ in self._table.lines:
            if row.source and (row.decision or row.source not in self.rows):
                self.rows[row.source] = row

    def save(self, item: Item) -> bool:
        """Write the file with the decision on an item, unless somebody else changed it.

        An "accept" is of the label that the person saw. Other rows stay as they are, and so do columns that a person
        added.

        Returns:
            Whether it was written.

        Raises:
            DatasetError: if a conversion of the set is going on.
        """
        with alone(self._owner, WAIT):
            if self.changed():
                return False
            row = self.rows.get(item.name) or ReviewRow(
                item.name, item.text, item.read, item.confidence, item.status or "ok"
            )
            text = item.text if item.decision == "accept" else row.text
            row = row._replace(text=text, decision=item.decision, corrected=item.corrected)
            table = self._table.with_decision(row)
            write_table(self.path, table)
            self._table, self._state = table, file_state(self.path)
            self.rows[item.name] = row
            return True


def is_outdated(row: ReviewRow, text: str) -> bool:
    """Test whether a row accepts another label than this, so that it is to be decided on anew."""
    return row.decision == "accept" and row.text not in ("", text)


def file_state(path: Path) -> Hashable:
    """Return a value that changes when the file is written; None if there is no file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
