"""Data sets of HuggingFace's library ``datasets``, as ``save_to_disk`` leaves them (Arrow) or as Parquet.

A column of pictures is a struct of ``bytes`` and ``path``, or binary; one of texts has strings. Files below a folder
are read in natural order, those of all splits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detector.data.folders.image_files import image_files, is_image_name, picture_suffix
from detector.data.labels.entries import name_below
from detector.data.labels.formats.fields import TEXT_COLUMNS, plain
from detector.data.labels.formats.model import Columns
from detector.data.packs.shards import (
    SUFFIX,
    arrow_errors,
    opened_parquet,
    require_parquet,
    rows_at_once,
    strings_of,
)
from detector.errors import SourceError, argument, counted
from detector.workflow.packing.items import PackItem, PackSource, file_state, in_memory, refused_item

if TYPE_CHECKING:
    import pyarrow as pa

_ARROW = ".arrow"
_CACHE = "cache-"  # what the library computed of a data set lies beside it


def data_files(path: Path) -> list[Path]:
    """Return the Arrow or Parquet files of a data set; none where there are pictures or nothing of the kind."""
    if path.is_file():
        return [path] if path.suffix.lower() in (_ARROW, SUFFIX) else []
    if not path.is_dir() or any(problem is None for _, problem in image_files(path)):
        return []
    for suffix in (_ARROW, SUFFIX):
        files = [file for file, problem in image_files(path, frozenset({suffix})) if problem is None]
        if files := [file for file in files if not file.name.startswith(_CACHE)]:
            return files
    return []


def read_data_set(root: Path, files: Sequence[Path], labelled: bool, columns: Columns) -> PackSource:
    """Read the pictures of a data set.

    Args:
        root: the folder or file.
        files: of it.
        labelled: whether texts are read.
        columns: names of the pictures' and the texts' column, where they cannot be told.

    Raises:
        DependencyError: if the extra is not installed.
        SourceError: if a file is broken, or its columns cannot be told.
    """
    require_parquet(str(root))
    with _opened(files[0]) as (_, schema):
        image, text = _columns(files[0], schema, labelled, columns)

    def items() -> Iterator[PackItem]:
        for file in files:
            with _opened(file, [image, text] if text else [image]) as (batches, present):
                for name, holds in ((image, _holds_pictures), (text, _holds_texts)):
                    if name and not (len(present.get_all_field_indices(name)) == 1 and holds(present.field(name).type)):
                        raise SourceError(f"{file} has no column {name!r}, which {files[0].name} has, of its kind.")
                place = name_below(root, file).removesuffix(file.suffix) if root.is_dir() else file.stem
                yield from _items_of(batches, place, file_state(file), image, text)

    description = f"columns {image!r} and {text!r}" if text else f"column {image!r}, and no texts"
    return PackSource("huggingface", f"{counted(len(files), f'{files[0].suffix} file')}, {description}", items)


@contextmanager
def _opened(file: Path, columns: Sequence[str] | None = None) -> Iterator[tuple[Iterator[pa.RecordBatch], pa.Schema]]:
    """Yield the record batches of a file and all its columns; ``columns`` are needed of the batches."""
    import pyarrow as pa

    if file.suffix.lower() == SUFFIX:
        with opened_parquet(file) as parquet:
            yield parquet.iter_batches(rows_at_once(parquet), columns=columns), parquet.schema_arrow
        return
    with arrow_errors(file, "Arrow"), pa.memory_map(str(file)) as mapped:
        if mapped.read_at(6, 0) == b"ARROW1":
            table = pa.ipc.open_file(mapped)
            yield map(_checked, map(table.get_batch, range(table.num_record_batches))), table.schema
        else:
            stream = pa.ipc.open_stream(mapped)
            yield map(_checked, stream), stream.schema


def _checked(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Check a batch, and return it: Arrow believes what a file says of where its values are, and would read beyond."""
    batch.validate(full=True)
    return batch


def _columns(file: Path, schema: pa.Schema, labelled: bool, columns: Columns) -> tuple[str, str]:
    """Return the names of the pictures' and the texts' column; "" where there are no texts."""
    image = _column(file, schema, "image", columns[0], [f.name for f in schema if _holds_pictures(f.type)])
    strings = [field.name for field in schema if _holds_texts(field.type)]
    if not labelled:
        return image, ""
    usual = [name for name in strings if plain(name) in TEXT_COLUMNS]
    if columns[1] is None and not usual:
        return image, ""
    return image, _column(file, schema, "text", columns[1], strings if columns[1] is not None else usual)


def _column(file: Path, schema: pa.Schema, content: str, column: str | None, fitting: list[str]) -> str:
    if column is not None:
        fitting = [name for name in fitting if name == column]
    if len(fitting) == 1:
        return fitting[0]
    column_names = ", ".join(f"{field.name} ({_short_type(field.type)})" for field in list(schema)[:12])
    if column is not None:
        problem = f"no column {column!r} of {content}s"
    else:
        problem = f"{len(fitting)} columns that may be the {content}"
    raise SourceError(
        f"{file} has {problem}; its columns are {column_names}. Name it, as in {argument(f'{content}_column', 'NAME')}."
    )


def _short_type(kind: Any) -> str:
    return str(kind) if len(str(kind)) < 60 else f"{str(kind)[:60]}…"


def _holds_pictures(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return "bytes" in [field.name for field in kind] and _holds_pictures(kind.field("bytes").type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _holds_texts(kind: pa.DataType) -> bool:
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _items_of(batches: Iterator[pa.RecordBatch], place: str, state: str, image: str, text: str) -> Iterator[PackItem]:
    number = 0
    for batch in batches:
        texts = strings_of(batch.column(text)) if text else [None] * batch.num_rows
        for cell, label in zip(batch.column(image), texts, strict=True):
            try:
                yield _item(cell.as_py(), f"{place}/{number}", label, f"{state} {number}")
            except UnicodeDecodeError:
                yield refused_item(f"{place}/{number}", "the name of its file is not valid UTF-8")
            number += 1


def _item(cell: Any, place: str, text: str | None, state: str) -> PackItem:
    """Return a row as an item, named by its place and its file, where that is known."""
    data, path = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)
    name = str(path or "").replace("\\", "/").rpartition("/")[2]
    if data is None:
        return refused_item(f"{place}/{name}".rstrip("/"), f"the data set has no bytes of it, and names {path!r} alone")
    picture_id = f"{place}/{name}" if is_image_name(name) else place + picture_suffix(data)
    return PackItem(picture_id, text, state, in_memory(data))
