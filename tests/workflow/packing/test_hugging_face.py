"""Data sets of HuggingFace: both forms, the columns that they have, and files that are broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from detector.errors import ImageError, SourceError
from detector.workflow.packing.hugging_face import data_files, read_data_set
from tests.builders import encoded, noise_picture, write_pictures

pa = pytest.importorskip("pyarrow", reason="Parquet needs the extra shards")
pq = pytest.importorskip("pyarrow.parquet")

PNG, JPEG = (encoded(noise_picture(16, 8), kind) for kind in ("PNG", "JPEG"))


def image(*cells: tuple[bytes | None, str | None]) -> Any:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.array([{"bytes": data, "path": path} for data, path in cells], kind)


def parquet(file: Path, table: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file, row_group_size=1)
    return file


def saved(folder: Path, name: str, table: Any, form: Any = pa.ipc.new_stream) -> Path:
    """As ``save_to_disk`` leaves a split. Returns ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with form(str(folder / name), table.schema) as writer:
        writer.write_table(table, max_chunksize=1)
    for file in ("state.json", "dataset_info.json"):
        (folder / file).write_text("{}", encoding="utf-8")
    return folder


def read(
    path: Path, labelled: bool = True, columns: tuple[str | None, str | None] = (None, None)
) -> list[tuple[str, str | None, Any]]:
    """(id, text, bytes or the reason) of each input."""
    rows = []
    for item in read_data_set(path, data_files(path), labelled, columns).items():
        try:
            rows.append((item.id, item.text, item.read()))
        except ImageError as error:
            rows.append((item.id, item.text, str(error)))
    return rows


TABLE = pa.table({"image": image((PNG, "x/a.png"), (JPEG, None)), "text": ["AB", None]})


@pytest.mark.parametrize("form", [pa.ipc.new_stream, pa.ipc.new_file], ids=["stream", "file"])
def test_a_set_that_was_saved(tmp_path: Path, form: Any) -> None:
    for split, count in (("train", 2), ("test", 1)):
        for part in range(count):
            saved(tmp_path / "set" / split, f"data-{part:05d}-of-{count:05d}.arrow", TABLE, form)
    (tmp_path / "set" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}', encoding="utf-8")
    (tmp_path / "set" / "train" / "cache-1234.arrow").write_bytes(b"computed")
    rows = read(tmp_path / "set")
    names = ["test/data-00000-of-00001", "train/data-00000-of-00002", "train/data-00001-of-00002"]
    assert rows == [row for name in names for row in ((f"{name}/0/a.png", "AB", PNG), (f"{name}/1.jpg", None, JPEG))]


def test_a_set_as_parquet(tmp_path: Path) -> None:
    file = parquet(tmp_path / "data" / "train-00000-of-00001.parquet", TABLE)
    assert [row[0] for row in read(tmp_path)] == [f"data/{file.stem}/0/a.png", f"data/{file.stem}/1.jpg"]
    assert read(file) == [(f"{file.stem}/0/a.png", "AB", PNG), (f"{file.stem}/1.jpg", None, JPEG)]
    assert [row[1] for row in read(file, labelled=False)] == [None, None]


COLUMNS: dict[str, tuple[Any, tuple[str | None, str | None], list[tuple[str, str | None]]]] = {
    "binary": (pa.table({"img": [PNG], "plate": ["AB"]}), (None, None), [("a/0.png", "AB")]),
    "large binary and string": (
        pa.table({"i": pa.array([PNG], pa.large_binary()), "gt": pa.array(["A"], pa.large_string())}), (None, None),
        [("a/0.png", "A")],
    ),
    "a text that is named": (
        pa.table({"image": [PNG], "code": ["AB"], "text": ["x"]}), (None, "code"), [("a/0.png", "AB")]
    ),
    "a picture that is named": (pa.table({"image": [PNG], "mask": [JPEG]}), ("mask", None), [("a/0.jpg", None)]),
    "no texts": (pa.table({"image": [PNG], "label": [3]}), (None, None), [("a/0.png", None)]),
    "texts as a dictionary": (
        pa.table({"image": [PNG], "text": pa.array(["AB"]).dictionary_encode()}), (None, None), [("a/0.png", "AB")]
    ),
    "no rows": (pa.table({"image": pa.array([], pa.binary())}), (None, None), []),
}  # fmt: skip


@pytest.mark.parametrize(("table", "columns", "rows"), COLUMNS.values(), ids=COLUMNS)
def test_columns(tmp_path: Path, table: Any, columns: Any, rows: list[tuple[str, str | None]]) -> None:
    assert [row[:2] for row in read(parquet(tmp_path / "a.parquet", table), columns=columns)] == rows


UNCLEAR: dict[str, tuple[Any, tuple[str | None, str | None], str]] = {
    "no pictures": (
        pa.table({"text": ["A"]}), (None, None), r"0 columns that may be the image; its columns are text \(string\)"
    ),
    "two of pictures": (
        pa.table({"a": [PNG], "b": [PNG]}), (None, None), "2 columns that may be the image.*image_column='NAME'"
    ),
    "two of texts": (
        pa.table({"a": [PNG], "text": ["A"], "label": ["B"]}), (None, None),
        "2 columns that may be the text.*text_column='NAME'"
    ),
    "a text that is not there": (pa.table({"a": [PNG], "text": ["A"]}), (None, "x"), "no column 'x' of texts"),
    "a text of numbers": (pa.table({"a": [PNG], "text": [1]}), (None, "text"), "no column 'text' of texts"),
    "pictures as addresses": (pa.table({"image": ["http://x/a.png"]}), (None, None), "0 columns that may be the image"),
}  # fmt: skip


@pytest.mark.parametrize(("table", "columns", "said"), UNCLEAR.values(), ids=UNCLEAR)
def test_columns_that_cannot_be_told(tmp_path: Path, table: Any, columns: Any, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        read(parquet(tmp_path / "a.parquet", table), columns=columns)


def test_rows_without_bytes_are_refused(tmp_path: Path) -> None:
    cells = image((None, "/etc/passwd"), (None, None), (PNG, "../../x.png"), (b"", "a.png"))
    rows = read(parquet(tmp_path / "a.parquet", pa.table({"image": cells, "text": ["A", "B", "C", "D"]})))
    assert rows == [
        ("a/0/passwd", None, "the data set has no bytes of it, and names '/etc/passwd' alone"),
        ("a/1", None, "the data set has no bytes of it, and names None alone"),
        ("a/2/x.png", "C", PNG),
        ("a/3/a.png", "D", b""),
    ]


OTHER_FORMS = {
    "no texts": ({"image": image((PNG, None))}, "text"),
    "texts that are numbers": ({"image": image((PNG, None)), "text": [1]}, "text"),
    "pictures that are strings": ({"image": ["a.png"], "text": ["A"]}, "image"),
}


@pytest.mark.parametrize(("columns", "name"), OTHER_FORMS.values(), ids=OTHER_FORMS.keys())
def test_files_of_one_set_have_one_form(columns: dict[str, Any], name: str, tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", TABLE)
    parquet(tmp_path / "b.parquet", pa.table(columns))
    with pytest.raises(SourceError, match=rf"b\.parquet has no column '{name}', which a\.parquet has"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["a.arrow", "a.parquet"])
@pytest.mark.parametrize("keep", [0, 3, 40, -30])
def test_files_that_are_broken(tmp_path: Path, name: str, keep: int) -> None:
    whole = saved(tmp_path, "b.arrow", TABLE) / "b.arrow" if name == "a.arrow" else parquet(tmp_path / "b", TABLE)
    (tmp_path / name).write_bytes(whole.read_bytes()[:keep])
    with pytest.raises(SourceError, match=rf"{name} cannot be read as"):
        read(tmp_path / name)


def test_offsets_that_lead_out_of_an_arrow_file(tmp_path: Path) -> None:
    file = saved(tmp_path, "a.arrow", pa.table({"image": [PNG * 20]})) / "a.arrow"
    data = bytearray(file.read_bytes())
    size = len(PNG * 20).to_bytes(4, "little")
    at = data.index(b"\0\0\0\0" + size)  # of the binary's values
    data[at + 4 : at + 8] = (1 << 30).to_bytes(4, "little")
    file.write_bytes(data)
    with pytest.raises(SourceError, match=r"a\.arrow cannot be read as Arrow"):
        read(file)


def test_what_is_no_data_set(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", TABLE)
    assert data_files(tmp_path / "none") == [] == data_files(write_pictures(tmp_path, ["x/a.png"]))
