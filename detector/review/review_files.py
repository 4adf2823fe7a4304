"""A ``review.csv`` that several processes may write, one decision at a time."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

from detector.conversion.review import ReviewRow, review_rows, write_rows
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
        self._state: Hashable = None

    def changed(self) -> bool:
        """Test whether somebody else wrote the file since it was loaded or saved here."""
        return file_state(self.path) != self._state

    def load(self) -> None:
        """Read the rows from the file.

        Raises:
            DatasetError: if rows make no sense; all of them are named.
        """
        self._state = file_state(self.path)  # before reading, so that a later write counts as a change
        self.rows = {row.source: row for row in review_rows(self.path)} if self._state is not None else {}

    def save(self, item: Item) -> bool:
        """Write the file with the decision on an item, unless somebody else changed it; other rows stay as they are.

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
            rows = {**self.rows, item.name: row._replace(decision=item.decision, corrected=item.corrected)}
            write_rows(self.path, rows.values())
            self.rows, self._state = rows, file_state(self.path)
            return True


def file_state(path: Path) -> Hashable:
    """Return a value that changes when the file is written; None if there is no file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
