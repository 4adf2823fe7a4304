"""Converted sets in the smallest form that a review takes, made without a conversion; a client without a browser."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from detector.conversion.arguments import ARGUMENTS, keep_arguments
from detector.conversion.review import ReviewRow, review_table, write_rows
from detector.data.sets.yolo_dataset import ManifestRow, format_labels, write_descriptions, write_tables
from detector.review.opening import open_subject
from detector.review.server import ReviewServer
from detector.review.session import ReviewSession
from detector.text.alphabet import DEFAULT_SYMBOLS
from detector.text.reading_config import ReadingConfig
from tests.builders import encoded, noise_picture
from tests.replies import Reply

SIZE_WH = (60, 20)


class Suspect(NamedTuple):
    """A picture of a set: its label, and what was read instead."""

    source: str
    text: str
    read: str


def suspects(count: int) -> list[Suspect]:
    """Labels whose last symbol was read as the next one."""
    return [Suspect(f"plates/{n:05d}.png", f"AB{n:05d}C", f"AB{n:05d}D") for n in range(count)]


def small_set(
    root: Path,
    listed: list[Suspect],
    *,
    symbols: str = DEFAULT_SYMBOLS,
    pictures: bool = True,
    visual_order: bool = False,
    arguments: Mapping[str, Any] | None = None,
) -> Path:
    """A set of suspects and one sure picture, with a ``review.csv`` in which nothing is decided. Returns ``root``."""
    for place in ("train", "suspects"):
        (root / "images" / place).mkdir(parents=True)
        (root / "labels" / place).mkdir(parents=True)
    manifest = [ManifestRow("sure.png", "images/train/sure.png", "AB1", "train", "detected 3", "0.9900", "ok")]
    for number, suspect in enumerate(listed):
        image, sure = f"images/suspects/{number:05d}.png", f"{number / (len(listed) + 1) / 2:.4f}"
        manifest.append(ManifestRow(suspect.source, image, suspect.text, "train", "", sure, "suspect", suspect.read))
    for number, row in enumerate(manifest if pictures else []):
        (root / row.image).write_bytes(encoded(noise_picture(*SIZE_WH, seed=number), "PNG"))
    for row in manifest if pictures else []:
        ids = [symbols.index(symbol) for symbol in row.text if symbol != " "]
        edges = np.linspace(2, SIZE_WH[0] - 2, len(ids) + 1)
        boxes = np.stack([edges[:-1], np.full(len(ids), 4.0), edges[1:], np.full(len(ids), 16.0)], 1)
        label = root / "labels" / Path(row.image).parent.name / f"{Path(row.image).stem}.txt"
        label.write_text(format_labels(ids, boxes, *SIZE_WH), encoding="ascii")
    write_tables(root, manifest, [])
    config = ReadingConfig(symbols, visual_order=visual_order)
    write_descriptions(root, root, config, {"train": ["images/train/sure.png"], "suspects": []})
    write_rows(root / "review.csv", (ReviewRow(r.source, r.text, r.read, r.confidence, r.status) for r in manifest[1:]))
    if arguments is not None:
        (root / "work").mkdir()
        keep_arguments(root / "work" / ARGUMENTS, {"source": root.parent, "labels": "auto", **arguments})
    return root


def review_rows(path: Path) -> list[ReviewRow]:
    """All rows of a file that say something, decided or not."""
    return [line.row for line in review_table(path).lines if any(line.row)]


def decisions(root: Path) -> dict[str, tuple[str, str]]:
    """Decision and correction of each picture, as ``review.csv`` has them."""
    return {row.source: (row.decision, row.corrected) for row in review_rows(root / "review.csv")}


def evaluation(path: Path, source: Path, wrong: list[tuple[str, Path, str, str]]) -> Path:
    """What `detector evaluate` writes of these wrong readings: name, picture, label and reading. Returns ``path``."""
    readings = [
        {"name": name, "path": str(picture), "label": label, "reading": reading, "confidence": 0.9,
         "characters": [{"symbol": reading[0], "confidence": 0.9, "xyxy": [1.0, 2.0, 9.0, 14.0]}]}
        for name, picture, label, reading in wrong
    ]  # fmt: skip
    path.write_text(json.dumps({"source": str(source), "wrong": readings}))
    return path


def decide(session: ReviewSession, name: str, decision: str, corrected: str = "") -> None:
    """A decision on the picture of that name, as the page shows it."""
    item = next(item for item in session.items() if item.name == name)
    session.decide(item.key, item.version, decision, corrected)


class Client:
    """Asks a server as its page does, or otherwise."""

    def __init__(self, server: ReviewServer) -> None:
        """Know the address that the server printed."""
        self.host = f"127.0.0.1:{server.port}"
        self.token = server.url.split("/")[3]
        self._port = server.port

    def get(self, name: str = "", headers: Mapping[str, str] | None = None, token: str | None = None) -> Reply:
        """A question."""
        return self.ask("GET", f"/{self.token if token is None else token}/{name}", headers or {})

    def post(self, name: str, given: Any, headers: Mapping[str, str] | None = None) -> Reply:
        """A request to change something, with the headers that a browser sends."""
        usual = {"Origin": f"http://{self.host}", "Content-Type": "application/json"}
        return self.ask("POST", f"/{self.token}/{name}", usual | dict(headers or {}), json.dumps(given))

    def ask(self, method: str, path: str, headers: Mapping[str, str], body: str | None = None) -> Reply:
        """Any request; a header that is None is left out."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=600)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return Reply(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def items(self) -> list[dict[str, Any]]:
        """All items."""
        items: list[dict[str, Any]] = self.get("items").json["items"]
        return items

    def decide(self, item: Mapping[str, Any], decision: str, corrected: str = "") -> Reply:
        """Decide on an item as it was when it was asked for."""
        given = {"key": item["key"], "version": item["version"], "decision": decision, "corrected": corrected}
        return self.post("decide", given)


def serve(path: Path) -> ReviewServer:
    """A server of what lies there, on a free port."""
    return ReviewServer(open_subject(path))
