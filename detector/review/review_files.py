"""A ``review.csv`` that several processes may write, a decision at a time."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

from detector.conversion.review import ReviewRow, review_rows, write_rows
from detector.conversion.set_folder import alone
from detector.review.items import Item

WAIT = 2.0
"""Seconds for another process that is writing, before that is an error."""


class ReviewFile:
    """Lines of a ``review.csv`` by what they are about, in order.

    Args:
        path: of the file, which may not be there yet.
        owner: the set that it is in, which no conversion may replace while a decision is written; without one the file.
    """

    def __init__(self, path: Path, owner: Path | None = None) -> None:
        """Know of no line yet."""
        self.path = path
        self.rows: dict[str, ReviewRow] = {}
        self._owner = owner or path
        self._state: Hashable = None

    def changed(self) -> bool:
        """Test whether somebody else wrote it since it was loaded or saved here."""
        return file_state(self.path) != self._state

    def load(self) -> None:
        """Read the lines anew.

        Raises:
            DatasetError: if lines make no sense; all of them are named.
        """
        self._state = file_state(self.path)  # first: what is written from here on is a change
        self.rows = {row.source: row for row in review_rows(self.path)} if self._state is not None else {}

    def save(self, item: Item) -> bool:
        """Write the file with this decision, unless it was changed; lines of others stay as they are.

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
    """Differs once a file was written by somebody else; None where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def shown_path(path: Path) -> str:
    """Return a path as one would type it in the working folder."""
    working_folder = Path.cwd()
    return str(path.relative_to(working_folder) if path.is_relative_to(working_folder) else path)
