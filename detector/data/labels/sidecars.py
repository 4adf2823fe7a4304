"""Labels in a file beside each picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import groupby, islice
from pathlib import Path

from detector.data.folders.image_files import image_files
from detector.data.labels.entries import Entry, Listing, name_below, writable
from detector.data.labels.formats import SIDECARS, Folders, Row, Sidecar
from detector.data.labels.listings import passed_over_in_short, unreadable_folders
from detector.errors import SourceError

_USUAL_SHARE = 0.5  # of the pictures that have a file of the format that is meant
_LOOKED_INTO = 20  # files beside pictures that are read to recognise their format
_LABEL_FOLDERS = {"images": ("labels", "annotations", "gt"), "jpegimages": ("Annotations",)}


def read_beside(root: Path, format_name: str | None, passed_over: dict[str, str]) -> Listing | None:
    """Read labels from a file beside each image, of the first format that enough images have; None if there is none."""
    files_and_problems = list(image_files(root))
    pictures = [path for path, problem in files_and_problems if problem is None]
    folders = Folders([root])
    chosen = [sidecar for sidecar in SIDECARS if pictures and format_name in (None, sidecar.name)]
    files_of = {sidecar: files for sidecar in chosen if (files := _beside(root, pictures, sidecar, folders))}
    for least in (_USUAL_SHARE, 0.0):  # a few stale files of one format do not go before all of another one
        for sidecar, files in files_of.items():
            share = len(files) / len(pictures)
            if share < sidecar.min_share or (share >= _USUAL_SHARE) != (least > 0):
                continue
            listing = _of_sidecar(root, sidecar, pictures, files, passed_over)
            if listing is not None:
                listing.entries.extend(unreadable_folders(root, files_and_problems))
                return listing
    return None


def _beside(root: Path, pictures: Sequence[Path], sidecar: Sidecar, folders: Folders) -> dict[Path, Path]:
    """Label file of each picture that has one."""
    file_of: dict[Path, Path] = {}
    for folder, in_folder in groupby(pictures, os.path.dirname):
        listings = [(place, folders.listing(place)) for place in _places(str(root), folder)]
        having = [pair for pair in listings if any(name.endswith(sidecar.suffix) for name in pair[1])]
        for picture in in_folder if having else ():
            name = picture.stem + sidecar.suffix
            if place := next((place for place, names in having if name in names), ""):
                file_of[picture] = Path(place, name)
    return file_of


def _places(root: str, folder: str) -> list[str]:
    """Folders that may hold the labels of the pictures in a folder."""
    below = Path(folder).relative_to(root).parts
    folders = [folder]
    for at in reversed(range(len(below))):
        for name in _LABEL_FOLDERS.get(below[at].lower(), ()):
            folders.append(os.path.join(root, *below[:at], name, *below[at + 1 :]))
    folders += [os.path.join(root, name, *below) for name in ("labels", "annotations", "Annotations")]
    return folders


def _of_sidecar(
    root: Path, sidecar: Sidecar, pictures: Sequence[Path], files: dict[Path, Path], passed_over: dict[str, str]
) -> Listing | None:
    read = sidecar.recognise(root, list(islice(files.values(), _LOOKED_INTO)))
    if read is None or isinstance(read, str):
        passed_over |= {f"*{sidecar.suffix}": read} if read else {}
        return None
    entries = []
    users: dict[Path, list[Path]] = {}
    for picture, file in files.items():
        users.setdefault(file, []).append(picture)
    for picture in pictures:
        name = writable(name_below(root, picture))
        if picture not in files:
            entries.append(Entry(name, None, "", f"there is no {picture.stem}{sidecar.suffix} with its label"))
            continue
        if others := [name_below(root, other) for other in users[files[picture]] if other != picture]:
            reason = f"{files[picture].name} may be the label of {others[0]}, too: give each picture a name of its own"
            entries.append(Entry(name, None, "", reason))
            continue
        try:
            row = read(files[picture], picture)
        except SourceError as error:  # of one file among many
            row = Row(0, picture.name, "", str(error).rstrip("."))
        entries.append(Entry(name, str(picture), row.text, row.problem, 0, "", row.drawn))
    detail = f"{sidecar.name}: a file beside each picture"
    detail += passed_over_in_short(passed_over)
    return Listing(root, sidecar.name, (), detail, entries, searched=True)
