"""File names as labels: ``names`` (``TEXT.png``, ``TEXT_12.png``, …); ``hash-names``: ``text_hash.jpg``.

**Running numbers**: digits at the end of a name, after ``_`` or ``-`` or in brackets, are a number and not text, unless
nothing precedes them or the mark is part of labels. After another mark (``TEXT.1.png``, ``TEXT 2.png``, ``TEXT~3.png``)
they are one if all names together look counted. Roboflow's names (``TEXT_jpg.rf.HASH.jpg``) are texts with such
numbers.

**What programs add** is no text either: a second ending (``TEXT.jpg.png``), a copy's word (``TEXT - Copy (2).png``,
``TEXT-copy.png``, ``Copy of TEXT.png``, in the languages that file managers are used in most) and the escapes of
addresses (``AB%2012.png`` is ``AB 12``).
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from detector.data.folders.image_files import is_image_name
from detector.data.labels.remedies import count_through
from detector.errors import SourceError, argument

NAME_FORMATS = ("names", "hash-names")

_NUMBERED = re.compile(r"(?:[_-][0-9]+| ?\([0-9]+\))$")
_OTHER_MARKS = ".~#+@=, "
_OTHER_NUMBERED = re.compile(rf"(?:[{re.escape(_OTHER_MARKS)}][0-9]+| ?\[[0-9]+\])$")
_NUMBER_FIRST = re.compile(r"[(\[]?([0-9]+)([^0-9A-Za-z]+)(?=.)", re.ASCII)
_WORD_FIRST = re.compile(r"[^\W\d_]{3,}_(?=.)")
_HASHED = re.compile(r"(.+)_([0-9A-Za-z]+)$", re.DOTALL)
_HASH_TAIL = re.compile(r"._[0-9a-fA-F]{8,}$")
_ROBOFLOW = re.compile(r"_(?:jpe?g|png|bmp|webp|tiff?|gif|avif)\.rf\.[0-9A-Za-z]{8,}$", re.IGNORECASE)
_COPY = "[Cc]opy|[Kk]opie|[Cc]opie|[Cc]opia|[Cc]ópia|[Kk]opia|[Kk]opya|[Кк]опия|副本|コピー|복사본"  # no COPY of a text
_COPIED = re.compile(rf"(?:[ _-]+(?:{_COPY})| ?\((?:{_COPY})\))(?: [0-9]+| ?\([0-9]+\))?$")
_COPY_OF = re.compile(rf"(?:{_COPY}) (?:of|von|de|di|van|av) (?=.)")
_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_UNESCAPED = re.compile(r"[A-Za-z0-9_.~-]")  # signs that stand in addresses as they are
_THOUSANDS = re.compile(r"[0-9]{1,3}([., ])[0-9]{3}(?:\1[0-9]{3})*", re.ASCII)
_DATE = re.compile(
    r"(?<![0-9])(?:19|20)[0-9]{2}([-_. ]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12][0-9]|3[01])(?:[0-9]{4,9})?(?![0-9])"
)
_DECIMAL = re.compile(r"(?:0|[1-9][0-9]{0,3})\.([0-9])", re.ASCII)
_CHANCE = 1e-4  # that random numbers lie as low: then they were counted
_COUNTED_FROM, _COUNTED_TO = 0.3, 0.5  # shares of names with such a number that look counted: ambiguous, clear from


@dataclass(frozen=True)
class Names:
    """How names of files are read as texts.

    Args:
        kind: one of :data:`NAME_FORMATS`.
        label_marks: marks that are part of labels and start no running number.
        other_marks: whether marks other than ``_``, ``-`` and brackets start one.
    """

    kind: str
    label_marks: frozenset[str]
    other_marks: bool = False

    def text(self, name: str) -> tuple[str, str]:
        """Text of a file name, and why there is none."""
        stem = stem_of(name)
        if self.kind == "hash-names":
            match = _HASHED.fullmatch(stem)
            return (match[1], "") if match else ("", "the name has no text, _ and letters or digits (text_hash)")
        return without_number(stem, self.label_marks, self.other_marks), ""


def bare_stem(name: str) -> str:
    """File name without suffix."""
    return os.path.splitext(os.path.basename(name))[0]


def stem_of(name: str) -> str:
    """File name without suffix and without what programs add to names: the text, and a running number maybe."""
    stem = _ROBOFLOW.sub("", bare_stem(name))
    stem = os.path.splitext(stem)[0] if is_image_name(stem) else stem
    stem = _ESCAPES.sub(_without_escapes, stem)
    while (shorter := _COPY_OF.sub("", _COPIED.sub("", stem), count=1)) not in (stem, ""):
        stem = shorter
    return stem


def _without_escapes(escapes: re.Match[str]) -> str:
    """Decode escapes, where they are those of an address: of signs that cannot stand there as they are, in UTF-8."""
    signs = unquote(escapes[0], errors="replace")
    return escapes[0] if "\ufffd" in signs or "/" in signs or "\0" in signs or _UNESCAPED.search(signs) else signs


def without_number(stem: str, label_marks: frozenset[str], other_marks: bool = False) -> str:
    """Strip a running number from the end of a name."""
    match = _NUMBERED.search(stem) or (_OTHER_NUMBERED.search(stem) if other_marks else None)
    match = None if _DATE.fullmatch(stem) else match
    return stem[: match.start()] if match and match.start() and match[0][0] not in label_marks else stem


def recognise_names(
    names: Sequence[str], root: str, contents: str, label_marks: frozenset[str], alternatives: str
) -> Names:
    """Determine how these names are read.

    Args:
        names: paths relative to their root.
        root, contents: the folder and what it holds, for messages.
        label_marks: marks that are part of labels.
        alternatives: what else is accepted, for messages.

    Raises:
        SourceError: if they do not look like texts, or are ambiguous.
    """
    stems = [stem_of(name) for name in names]
    other_marks = _other_marks_count(stems, label_marks, root)
    if reason := _not_texts(names, label_marks, other_marks):
        raise SourceError(
            f"{root} has {contents} and no label file; the names of the images do not look like their texts: {reason}. "
            f"{alternatives} {argument('labels', 'names')} takes the names all the same."
        )
    hashed = 0 if "_" in label_marks else sum(_HASH_TAIL.search(stem) is not None for stem in stems)
    if hashed >= 0.9 * len(stems):
        return Names("hash-names", label_marks)
    if odd := _no_running_number(stems, label_marks):
        text = without_number(odd, label_marks)
        raise _two_ways(root, odd, text)
    return Names("names", label_marks, other_marks)


def _two_ways(root: str, odd: str, text: str) -> SourceError:
    return SourceError(
        f"The names of the images in {root} can be read in more than one way: is {odd!r} the text {text!r} and "
        f"a running number? The numbers are too odd for that. {argument('ignore', odd[len(text)])} takes "
        f"the digits as text, {argument('labels', 'names')} takes them for numbers."
    )


def _other_marks_count(stems: Sequence[str], label_marks: frozenset[str], root: str) -> bool:
    """Test whether digits after marks other than ``_`` and ``-`` are running numbers, that is, look counted."""
    numbers: dict[str, set[str]] = {}
    repeated: set[str] = set()  # after a mark that few texts have; with letters before it, it is no decimal point
    for stem in stems:
        match = _OTHER_NUMBERED.search(stem)
        if match and match.start() and match[0][0] not in label_marks and _NUMBERED.search(stem) is None:
            text = stem[: match.start()]
            numbers.setdefault(text, set()).add(re.sub(r"\D", "", match[0]))
            if match[0][0] in ".~#@[":
                repeated.add(text)
    all_stems = set(stems)
    counted = total = 0
    for text, digits in numbers.items():
        total += len(digits)
        from_the_start = max(map(int, digits)) - len(digits) in (-1, 0) and not _are_thousands(text, digits)
        is_repeated = text in all_stems or (len(digits) > 1 and not text.isdecimal() and text in repeated)
        counted += len(digits) * (from_the_start or is_repeated)
    every = [int(number) for digits in numbers.values() for number in digits]
    if len(every) > 3 and count_through(every) and not any(text.isdecimal() for text in numbers):
        return True
    if not total or counted < _COUNTED_FROM * total:
        return False
    if counted < _COUNTED_TO * total or _are_decimals(stems):
        text = next(iter(numbers))
        raise _two_ways(root, next(stem for stem in stems if stem.startswith(text) and stem != text), text)
    return True


def _are_decimals(stems: Sequence[str]) -> bool:
    """Test whether all names are numbers with one decimal, as readings are: a running number looks the same."""
    decimals = [_DECIMAL.fullmatch(stem) for stem in stems]
    return len({match[1] for match in decimals if match}) > 1 and all(decimals)


def _are_thousands(text: str, digits: Collection[str]) -> bool:
    """Test whether the digits after a text are likelier the end of it, as those of 12,000, than a running number."""
    return len(digits) == 1 and all(_THOUSANDS.fullmatch(f"{text},{number}") for number in digits)


def _no_running_number(stems: Sequence[str], label_marks: frozenset[str]) -> str:
    """Return a name if most end in ``_`` or ``-`` and digits that do not look counted, as in plates (51F-88270).

    Counting starts at 0 or 1, for each text or for all of them, and leaves out few numbers. "" if they are counted.
    """
    numbers: dict[str, set[int]] = {}
    long_count, first_numbered = 0, ""
    for stem in stems:
        text = without_number(stem, label_marks)
        if text != stem and stem[len(text)] in "_-":
            digits = stem[len(text) + 1 :]
            numbers.setdefault(text, set()).add(int(digits))
            long_count += len(digits) >= 3
            first_numbered = first_numbered or stem
    if len(stems) < 4 or 2 * long_count <= len(stems):
        return ""
    counted = sum(len(of_text) for of_text in numbers.values() if max(of_text) - len(of_text) in (-1, 0))
    all_numbers = set().union(*numbers.values())
    total = sum(map(len, numbers.values()))
    for_all = len(all_numbers) >= 0.99 * total and max(all_numbers) - min(all_numbers) < 10 * total
    return "" if counted >= 0.9 * total or for_all else first_numbered


def _not_texts(names: Sequence[str], label_marks: frozenset[str], other_marks: bool) -> str:
    """Return why these file names do not look like texts, or "". Fewer than four names always do."""
    if len(names) < 4:
        return ""
    stems = [stem_of(name) for name in names]
    examples = ", ".join(repr(stem) for stem in stems[:3])
    texts = [without_number(stem, label_marks, other_marks) for stem in stems]
    if len(set(texts)) == 1:
        return f"they differ by a running number only ({examples})"
    if all(text.isascii() and text.isdigit() for text in texts) and _are_counted(names, texts):
        return f"they are running numbers ({examples})"
    if 2 * sum(len(text) > 24 and not _HASH_TAIL.search(text) for text in texts) > len(texts):
        return f"they are long ({examples})"
    return _not_texts_alone(names, stems, label_marks) or _mostly_alike(stems, examples)


def _not_texts_alone(names: Sequence[str], stems: Sequence[str], label_marks: frozenset[str]) -> str:
    """Return why names have more than texts: running numbers in front, or one word before all; "" if they have not."""
    heads = [None if _THOUSANDS.fullmatch(stem) else _NUMBER_FIRST.match(stem) for stem in stems]
    numbers = [head[1] for head in heads if head and not {*head[2]} & label_marks]
    if len(numbers) == len(stems) and (_are_counted(names, numbers) or _lie_low(numbers)):
        return f"they begin with running numbers ({stems[0]!r}), which would be text: take them out of the names"
    dated = [stem for stem in stems if _is_dated(stem)]
    if 2 * len(dated) > len(stems):
        return f"they have dates beside their texts ({dated[0]!r}), which would be text: take them out of the names"
    words = {word[0] if (word := _WORD_FIRST.match(stem)) else "" for stem in stems}
    if len(words) == 1 and "" not in words and "_" not in label_marks:
        return f"all of them begin with {words.pop()!r}, which would be text: take it out of the names"
    return ""


def _is_dated(stem: str) -> bool:
    """Test whether a name has a date, and more that is no running number."""
    date = _DATE.search(stem)
    if date is None:
        return False
    after = stem[date.end() :]
    return any(map(str.isalnum, stem[: date.start()] + ("" if _NUMBERED.fullmatch(after) else after)))


def _lie_low(numbers: Sequence[str]) -> bool:
    """Test whether different numbers of one width are smaller than such numbers are by chance."""
    widths = {len(number) for number in numbers}
    if len(widths) > 1 or len(set(numbers)) < len(numbers):
        return False
    return bool(((max(map(int, numbers)) + 1) / 10 ** widths.pop()) ** len(numbers) < _CHANCE)


def _mostly_alike(stems: Sequence[str], examples: str) -> str:
    template, times = Counter(re.sub(r"[0-9]+", "#", stem) for stem in stems).most_common(1)[0]
    if times > len(stems) / 2 and "#" in template and re.search(r"[^\W\d_]{3}", template):
        return f"most differ by numbers only ({examples})"
    return ""


def _counts_from_start(numbers: Sequence[int]) -> bool:
    """Test whether the numbers of one folder count through; one or two are no count unless they are the first."""
    return count_through(numbers) if len(numbers) > 2 else sorted(numbers) in ([0], [1], [0, 1], [1, 2])


def _are_counted(names: Sequence[str], texts: Sequence[str]) -> bool:
    """Test whether names of digits are counted, in each folder or in all: few numbers are left out, or zeros lead."""
    by_folder: dict[str, list[int]] = {}
    for name, text in zip(names, texts, strict=True):
        by_folder.setdefault(os.path.dirname(name), []).append(int(text))
    in_each = sum(len(numbers) for numbers in by_folder.values() if _counts_from_start(numbers))
    widths = {len(text) for text in texts}
    padded = len(widths) == 1 and min(widths) >= 4 and max(map(int, texts)) < 10 ** (min(widths) - 2)
    return padded or 10 * in_each >= 9 * len(texts) or count_through([int(text) for text in texts])
