"""Find the files that labels name: by their paths, or by the ends of paths of another machine."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from detector.data.folders.image_files import image_files, is_folder, is_image_name

_SPLITS = {
    word: kind
    for kind, words in (("train", "train training"), ("val", "val valid validation dev"), ("test", "test testing eval"))
    for word in words.split()
}
_UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")  # Label Studio writes it before names


class Folders:
    """Finds listed files in some base folders, with one directory listing for each folder."""

    def __init__(self, bases: Sequence[Path]) -> None:
        self.bases = list(dict.fromkeys(map(str, bases)))
        self.listings: dict[str, frozenset[str]] = {}
        self.composed: dict[str, dict[str, str]] = {}

    def find(self, listed: str) -> str | None:
        """Return the path of a listed file in the first base that has it, or None."""
        for spelling in (listed, listed.replace("\\", "/")) if "\\" in listed else (listed,):
            for base in self.bases:
                folder, name = os.path.split(os.path.normpath(os.path.join(base, spelling)))
                if name in self.listing(folder) or (name := self.as_spelt(folder, name)):
                    return os.path.join(folder, name)
        return None

    def as_spelt(self, folder: str, name: str) -> str:
        """Name as ``folder`` spells it in another Unicode composition, as archives of macOS do; "" if missing."""
        if name.isascii():
            return ""
        if folder not in self.composed:
            self.composed[folder] = {
                _nfc(spelling): spelling for spelling in self.listing(folder) if not spelling.isascii()
            }
        return self.composed[folder].get(_nfc(name), "")

    def listing(self, folder: str) -> frozenset[str]:
        """List the names of the files in ``folder``; none if it cannot be read."""
        if folder not in self.listings:
            try:
                with os.scandir(folder or ".") as entries:
                    self.listings[folder] = frozenset(entry.name for entry in entries if not is_folder(entry))
            except (OSError, ValueError):  # missing, forbidden; a NUL in the name
                self.listings[folder] = frozenset()
        return self.listings[folder]

    def plausible(self, field: str) -> bool:
        """Test whether a field looks like the path of an image."""
        return is_image_name(os.path.basename(field.strip())) or (bool(field) and self.find(field) is not None)


class Guess(NamedTuple):
    """The file that a listed path may mean, and how it matched; or ``path`` is "" and ``how`` says why not."""

    path: str
    how: str


BY_CASE, BY_TAIL, BY_STEM = "by ignoring case", "by the end of their paths", "by names without ending"


class Tails:
    """Finds files below a folder by the ends of listed paths, case-insensitively; only if exactly one file matches.

    Args:
        root: the folder; it is searched once, when first needed.
    """

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.searched = False
        self._by_name: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        self._folder_ends: set[str] = set()  # of the paths of all folders with pictures

    def has_stem(self, stem: str) -> bool:
        """Test whether there is a picture of that name with any suffix."""
        self._search()
        return _fold(stem) in self._by_stem

    def guesses(self, listed: Iterable[str], file: Path, resolved: Mapping[str, str]) -> dict[str, Guess]:
        """Guess what the listed paths of one label file mean.

        A file in another folder is none of them where the listed folder has others of its pictures: then it is missing.

        Args:
            listed: paths that were not found as they are.
            file: the label file: splits that its path names (``val/metadata.csv``) are those of its pictures.
            resolved: its other paths, and the file that each is.
        """
        found_in: dict[tuple[str, ...], set[str]] = {}  # folders as listed -> where their pictures are
        for path, found in resolved.items():
            found_in.setdefault(tuple(_parts(path)[:-1]), set()).add(os.path.dirname(found))
        guesses = {path: self._guess(path, file, found_in) for path in dict.fromkeys(listed)}
        uses = Counter([*resolved.values(), *(guess.path for guess in guesses.values() if guess.path)])
        return {
            path: Guess("", f"{os.path.relpath(guess.path, self.root)} ends so, and so do other listed paths")
            if uses[guess.path] > 1 and guess.path
            else guess
            for path, guess in guesses.items()
        }

    def _guess(self, listed: str, file: Path, found_in: Mapping[tuple[str, ...], set[str]]) -> Guess:
        self._search()
        parts, as_spelt = _parts(listed), _spelt_parts(listed)
        if as_spelt and as_spelt[-1] in self._by_name:  # AB#1.png, of which an address has AB
            parts = as_spelt
        if not parts:
            return Guess("", "")
        folders = parts[:-1] + [_fold(part) for part in os.path.relpath(file, self.root).split(os.sep)]
        splits = {_SPLITS[word] for part in folders for word in re.split(r"[\W_0-9]+", part) if word in _SPLITS}
        matches, how = self._by_name.get(parts[-1], []), BY_TAIL
        if not matches and (bare_name := _UPLOADED.sub("", parts[-1])) != parts[-1]:
            parts = [*parts[:-1], bare_name]
            matches = self._by_name.get(bare_name, [])
        if not matches and not is_image_name(parts[-1]):
            matches, how = self._by_stem.get(parts[-1], []), BY_STEM
        matches = [
            path for path in matches if not (path_splits := self._splits_of(path)) or not splits or path_splits & splits
        ]
        lengths = [self._shared(parts[:-1], path) for path in matches]
        closest = [path for path, length in zip(matches, lengths, strict=True) if length == max(lengths)]
        if len(closest) > 1 and (beside := [path for path in closest if os.path.dirname(path) == str(file.parent)]):
            closest = beside if len(parts) == 1 else closest
        if len(closest) != 1:
            examples = ", ".join(sorted(os.path.relpath(path, self.root) for path in closest)[:3])
            return Guess("", f"{len(closest)} files end so: {examples}" if closest else "")
        if self._is_elsewhere(parts[:-1], max(lengths), closest[0], found_in):
            return Guess("", f"{os.path.relpath(closest[0], self.root)} ends so, and lies in another folder")
        if how == BY_TAIL and self._differs_by_case(listed, closest[0], file):
            how = BY_CASE
        return Guess(closest[0], how)

    def _differs_by_case(self, listed: str, path: str, file: Path) -> bool:
        listed_path = os.path.join(file.parent, listed.replace("\\", "/"))
        return _fold(os.path.normpath(listed_path)) == _fold(path)

    def _is_elsewhere(
        self, folders: list[str], shared: int, path: str, found_in: Mapping[tuple[str, ...], set[str]]
    ) -> bool:
        """Test whether the listed folder is there, and a file that shares so many of its names is not below it."""
        if homes := found_in.get(tuple(folders)):
            return not any(path.startswith(os.path.join(home, "")) for home in homes)
        end = "/".join(folders[-shared - 1 :])
        return shared < len(folders) and end in self._folder_ends and f"/{end}/" not in _fold(path)

    def _shared(self, folders: list[str], path: str) -> int:
        """Count the equal folders at the end of both paths."""
        count = 0
        for folder, other_folder in zip(folders[::-1], _fold(os.path.dirname(path)).split("/")[::-1], strict=False):
            if folder != other_folder:
                break
            count += 1
        return count

    def _splits_of(self, path: str) -> set[str]:
        below = _fold(os.path.relpath(os.path.dirname(path), self.root)).split("/")
        return {_SPLITS[word] for part in below for word in re.split(r"[\W_0-9]+", part) if word in _SPLITS}

    def _search(self) -> None:
        if self.searched:
            return
        self.searched = True
        folders: set[str] = set()
        for path, problem in image_files(self.root):
            if problem is None:
                name = _fold(path.name)
                self._by_name.setdefault(name, []).append(str(path))
                self._by_stem.setdefault(os.path.splitext(name)[0], []).append(str(path))
                folders.add(_fold(str(path.parent)))
        for folder in folders:
            parts = folder.split("/")
            self._folder_ends.update("/".join(parts[at:]) for at in range(len(parts)))


def _parts(listed: str) -> list[str]:
    """Split a listed path into normalised folders and name: no host of an address, no ``..``, no drive."""
    path = listed.strip()
    if re.match(r"[a-z][a-z0-9+.-]*://", path, re.IGNORECASE) or path.startswith("/data/"):
        try:
            address = urlsplit(path)
        except ValueError:
            return []
        path = unquote(parse_qs(address.query).get("d", [address.path])[0])
    return _spelt_parts(path)


def _spelt_parts(path: str) -> list[str]:
    """Split a path that is no address into normalised folders and name."""
    folded = _fold(re.sub(r"^[A-Za-z]:(?=[\\/])", "", path.strip()).replace("\\", "/"))
    return [part for part in folded.split("/") if part not in ("", ".", "..")]


def _fold(path: str) -> str:
    return _nfc(path).casefold().replace(os.sep, "/")


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)
