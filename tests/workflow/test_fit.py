"""From a folder to a reader in one call: what it leaves, that it goes on, and that it does nothing twice."""

from __future__ import annotations

import inspect
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import detector
from detector.cli import app
from detector.conversion.settings import ConversionOptions
from detector.data.labels.prelabels import Prelabel, write_prelabels
from detector.data.sets.yolo_dataset import read_manifest
from detector.errors import ArgumentError, DetectorError
from detector.workflow import fit as fitting
from detector.workflow.fit_folder import fit_command, fit_files
from tests.builders import TOY_LENGTH, TOY_OPTIONS, TOY_SYMBOLS, toy_folder

TRAINING = {"batch": 16}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_folder(tmp_path_factory.mktemp("fit") / "plates", 60)


def fit(source: Path, out: Path, **more: Any) -> detector.FitResult:
    return detector.fit(source, out, **{"epochs": 1, "training": TRAINING, **TOY_OPTIONS, **more})


@pytest.fixture(scope="module")
def fitted(source: Path, fixed_arithmetic: None) -> detector.FitResult:
    return fit(source, source.parent / "reader")


@pytest.fixture
def copy(fitted: detector.FitResult, source: Path, tmp_path: Path) -> Path:
    """A copy of the fit, to be changed."""
    return Path(shutil.copytree(fitted.folder, tmp_path / fitted.folder.name))


@pytest.fixture
def untrained(fitted: detector.FitResult, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training that gives at once what was learnt before, for what is about other steps."""

    def train(data: Any, weights: Path, name: str, epochs: int, **_: Any) -> detector.TrainingResult:
        shutil.copyfile(fitted.path, weights / f"{name}.pt")
        return replace(fitted.training, path=weights / f"{name}.pt", epochs=epochs)

    monkeypatch.setattr(fitting, "train", train)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps that a call of ``fit`` did."""
    done: list[str] = []

    def counted(step: str, real: Any) -> Any:
        def call(*args: Any, **more: Any) -> Any:
            done.append(f"{step}, resumed" if more.get("resume") else step)
            return real(*args, **more)

        return call

    for step in ("convert", "train"):
        monkeypatch.setattr(fitting, step, counted(step, getattr(fitting, step)))
    return done


def test_what_a_fit_leaves(fitted: detector.FitResult, source: Path) -> None:
    folder = fitted.folder
    assert {path.name for path in folder.iterdir()} == {"evaluation.html", "fit.json", "reader.pt", "runs", "set"}
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {name for name in written if not name.startswith("set/")} <= {*fit_files(folder.name)}
    assert Path(fitted) == fitted.path == folder / "reader.pt"
    assert fitted.conversion.inputs == 60 and fitted.training.epochs == 1
    figures = json.loads((folder / "fit.json").read_text(encoding="utf-8"))["evaluation"]["result"]
    assert (figures["count"], figures["right"]) == (fitted.evaluation.count, fitted.metrics.right)
    assert detector.Reader(fitted).read(next(source.iterdir())) is not None
    assert {row.name for row in detector.evaluate(fitted, folder).rows} == {row.name for row in fitted.evaluation.rows}


def test_a_fit_tells_the_command_that_goes_on(
    fitted: detector.FitResult, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(fitted.folder.parent)
    before, after = f"epochs=1 batch=16 --alphabet {TOY_SYMBOLS} --length {TOY_LENGTH}", "--device cpu --out reader"
    assert fit_command(fitted.folder) == f"detector fit {source.name} {before} --space _ {after}"
    assert fit_command(fitted.folder, fitted.folder.parent / "a b.csv") == f"detector fit 'a b.csv' {before} {after}"
    assert fit_command(source) == "", "no fit"
    assert fit_command(source, Path("new.csv")) == "detector fit new.csv"
    assert fit_command(source, Path("new.csv"), "_") == "detector fit new.csv --space _"
    write_prelabels(Path("spaced.csv"), [Prelabel("a.png", "_A", 1.0, "person")])
    assert fit_command(fitted.folder, Path("spaced.csv")).endswith("--device cpu --space _ --out reader")


def test_no_held_out_text_was_trained_on(fitted: detector.FitResult) -> None:
    rows = read_manifest(fitted.folder / "set")
    texts = {split: {row.text for row in rows if row.split == split} for split in ("train", "val", "test")}
    assert texts["test"] and not texts["test"] & (texts["train"] | texts["val"])
    assert fitted.split == "test"
    assert {row.name for row in fitted.evaluation.rows} == {row.image for row in rows if row.split == "test"}


def test_what_is_done_is_not_done_again(copy: Path, source: Path, untrained: None, steps: list[str]) -> None:
    again = fit(source, copy)
    assert steps == []
    assert again.path == copy / "reader.pt" and again.conversion.inputs == 60
    assert fit(source, copy, epochs=2).training.epochs == 2
    assert steps == ["train"], "other arguments of training need no other set"


def test_what_has_changed_is_done_again(
    copy: Path, source: Path, tmp_path: Path, untrained: None, steps: list[str]
) -> None:
    grown = Path(shutil.copytree(source, tmp_path / "more" / source.name))
    with pytest.raises(DetectorError, match=r"is the reader of .*: choose another folder"):
        fit(grown, copy)
    state = json.loads((copy / "fit.json").read_text(encoding="utf-8"))
    (copy / "fit.json").write_text(json.dumps({**state, "pictures": str(grown)}), encoding="utf-8")
    toy_folder(grown, 5, start=60)
    assert fit(grown, copy).conversion.inputs == 65
    assert steps == ["convert", "train"]
    steps.clear()
    review = copy / "set" / "review.csv"
    name = next(row.source for row in read_manifest(copy / "set") if row.split == "train")
    review.write_text(f"source,decision\n{name},drop\n", encoding="utf-8")
    assert fit(grown, copy).conversion.refused == 1
    assert steps == ["convert", "train"]


def test_a_fit_that_was_stopped_goes_on(source: Path, copy: Path, steps: list[str]) -> None:
    def stopping(stage: str, done: int, total: int) -> None:
        if stage.startswith("train") and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(source, copy, epochs=3, progress=stopping)
    assert steps == ["train"]
    told: list[tuple[str, int, int]] = []
    result = fit(source, copy, epochs=3, progress=lambda *one: told.append(one))
    assert steps == ["train", "train, resumed"]
    assert result.training.epochs == 3 and not result.training.interrupted
    epochs = [done for stage, done, _ in told if stage.startswith("train (")]
    assert epochs[0] >= 2 and epochs[-1] == 3, "no epoch is done again"


def test_a_run_that_only_was_not_written_down_is_not_trained_again(copy: Path, source: Path, steps: list[str]) -> None:
    run, state = copy / "runs" / "reader", json.loads((copy / "fit.json").read_text(encoding="utf-8"))
    state["training"]["result"] = None
    (copy / "fit.json").write_text(json.dumps(state), encoding="utf-8")
    published = json.loads((run / "published.json").read_text(encoding="utf-8"))
    (run / "published.json").write_text(json.dumps({**published, "run": str(run)}), encoding="utf-8")
    result = fit(source, copy)
    assert steps == [] and result.training.epochs == 1
    assert result.training.metrics.count == result.conversion.splits["val"]


def test_weights_that_are_gone_are_written_again(
    copy: Path, source: Path, fitted: detector.FitResult, steps: list[str]
) -> None:
    weights = copy / "reader.pt"
    weights.unlink()
    result = fit(source, copy)
    assert steps == ["train, resumed"] and result.path == weights
    assert result.training.epochs == 1 and result.metrics == fitted.metrics
    assert not result.training.interrupted and Path(fitted).is_file()
    weights.write_bytes(b"of somebody else")
    for more in ({}, {"epochs": 2}):
        with pytest.raises(DetectorError, match=r"reader\.pt is not what this fit wrote there, .* move it away"):
            fit(source, copy, **more)
    assert weights.read_bytes() == b"of somebody else" and steps == ["train, resumed"]


def test_a_conversion_that_was_stopped_goes_on(source: Path, tmp_path: Path, untrained: None) -> None:
    def stopping(stage: str, done: int, total: int) -> None:
        if stage == "write" and done == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(source, tmp_path / "reader", progress=stopping)
    told: list[str] = []
    fit(source, tmp_path / "reader", progress=lambda stage, done, total: told.append(f"{stage} {done}"))
    assert "locate 0" not in told and "locate 60" in told, "what was located is kept"


def test_pre_labels_are_learnt_only(source: Path, fitted: detector.FitResult, tmp_path: Path, untrained: None) -> None:
    new = toy_folder(tmp_path / "new", 12, start=200)
    shipped = detector.Reader(device="cpu")
    table = detector.label(shipped, new, tmp_path / "table.csv", labels=source, space="_", max_wrong=0.5)
    result = fit(table, tmp_path / "reader")
    report = result.conversion
    assert report.inputs == 60 + table.counts["sure"] and report.waiting == table.counts["doubtful"]
    assert 0 < report.prelabels <= table.counts["sure"]
    rows = read_manifest(tmp_path / "reader" / "set")
    by_reader = [row for row in rows if (new / Path(row.source).name).exists()]
    assert len(by_reader) == report.prelabels and {row.split for row in by_reader} == {"train"}
    before = {Path(row.image).name: row.split for row in read_manifest(fitted.folder / "set")}
    after = {Path(row.image).name: row.split for row in rows}
    assert before.items() <= after.items(), "what is held out stays the same"


def test_other_pictures_to_evaluate_on(source: Path, tmp_path: Path, untrained: None) -> None:
    others = toy_folder(tmp_path / "others", 12, start=100)
    result = fit(source, tmp_path / "reader", held_out=others)
    assert result.split == "" and result.evaluation.count == 12
    assert result.conversion.splits["test"] == 0


def test_the_sources_label_file_is_not_that_of_the_held_out_pictures(
    source: Path, tmp_path: Path, untrained: None
) -> None:
    others = toy_folder(tmp_path / "others", 12, start=100)
    listed = tmp_path / "listed.csv"
    rows = [f"{source.name}/{path.name},{path.stem.rpartition('-')[0]}" for path in sorted(source.glob("*.png"))]
    listed.write_text("\n".join(["image,text", *rows]))
    result = fit(source, tmp_path / "reader", labels=listed, held_out=others)
    assert {row.path.parent for row in result.evaluation.rows} == {others}


def test_held_out_pictures_that_are_trained_on_are_refused_before_anything_is_done(
    source: Path, tmp_path: Path
) -> None:
    with pytest.raises(DetectorError, match=r"60 of its 60 pictures are in .*, too"):
        fit(source, tmp_path / "reader", held_out=source)
    assert not (tmp_path / "reader").exists()


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "a folder of something else": ({"out": "other"}, DetectorError, "holds something else than an earlier fit"),
    "where things are": (
        {"training": {"project": "x", "name": "y"}},
        ArgumentError,
        "name, project: a fit says itself",
    ),
    "no source": ({"source": "nowhere"}, DetectorError, "There is no file or folder"),
    "no held-out pictures": ({"held_out": "nowhere"}, DetectorError, "There is no file or folder nowhere"),
}


@pytest.mark.parametrize(("more", "kind", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_fitted(
    source: Path, copy: Path, tmp_path: Path, more: dict[str, Any], kind: type[Exception], message: str
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    out = tmp_path / more["out"] if "out" in more else copy
    arguments = {name: value for name, value in more.items() if name != "out"}
    with pytest.raises(kind, match=message):
        fit(arguments.pop("source", source), out, **arguments)
    assert (tmp_path / "other" / "thesis.tex").exists()


@pytest.mark.skipif(os.name == "nt", reason="such names cannot exist there")
def test_folders_whose_names_are_no_unicode(
    source: Path, tmp_path: Path, untrained: None, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such pictures are fitted; no run is trained in such a folder, which is said before anything is done."""
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(b"pl\xe4tze")
    try:
        shutil.copytree(source, name)
    except OSError:
        pytest.skip("this file system takes no such names")
    with pytest.raises(DetectorError, match=r"readers/pl.tze: the name is not UTF-8, .* choose another folder"):
        detector.fit(name, **TOY_OPTIONS)
    assert os.listdir() == [name] and steps == []
    for _ in range(2):
        fit(Path(name), tmp_path / "out")
        assert steps == ["convert", "train"], "the second call finds all done"
    assert name in fit_command(tmp_path / "out")


def test_options_are_those_of_convert() -> None:
    own = {"source", "out", "overwrite", "progress", "shards"}  # fit's set is files of its own, which a person can open
    assert {*ConversionOptions.__annotations__} == {*inspect.signature(detector.convert).parameters} - own


def test_the_command(copy: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    line = ["fit", str(source), "epochs=1", "batch=16", "--out", str(copy), "--alphabet", TOY_SYMBOLS]
    line += ["--length", str(TOY_LENGTH), "--space", "_", "--device", "cpu"]
    done = CliRunner().invoke(app, line)
    assert done.exit_code in (0, 5), done.output
    assert done.stdout.splitlines()[-1] == str(Path(copy.name) / "reader.pt")
    assert "held-out pictures are read right" in done.stderr and "next: detector " in done.stderr
    stop = CliRunner()
    monkeypatch.setattr("detector.workflow.fit.fit", _stopped)
    stopped = stop.invoke(app, line)
    assert stopped.exit_code == 130
    said = " ".join(stopped.stderr.split())
    assert f"detector fit {source} epochs=1 batch=16 --out {copy}" in said and f"--length {TOY_LENGTH}" in said


NEXT: dict[str, tuple[list[tuple[str, dict[str, str]]], dict[str, Any], str]] = {
    "nothing": ([], {}, "detector predict R PICTURES"),
    "labels to decide on": ([("label errors", {})], {"to_review": 3}, "detector review S, then detector fit plates"),
    "labels that are decided on": ([("label errors", {})], {"to_review": 0}, "detector predict R PICTURES"),
    "few pictures": ([("few pictures", {})], {}, "detector label R PICTURES prelabels.csv --labels plates"),
    "few pictures and more beside": (
        [("rare symbols", {})],
        {"unlisted": 9},
        "detector label R plates plates/prelabels.csv",
    ),
    "few pictures whose labels are spelt": (
        [("few pictures", {})],
        {"spelt": ["--upper", "--ignore", "- "]},
        "detector label R PICTURES prelabels.csv --labels plates --upper --ignore '- '",
    ),
    "few pictures and pre-labels that wait": (
        [("few pictures", {})],
        {"waiting": 2, "source": "prelabels.csv"},
        "detector review prelabels.csv, then detector fit prelabels.csv",
    ),
    "few pictures, and pre-labels that are decided on": (
        [("few pictures", {})],
        {"prelabels": 7, "source": "prelabels.csv"},
        "detector label R PICTURES prelabels.csv",
    ),
    "look-alikes": ([("look-alikes", {"pattern": "AA9|A9"})], {}, "detector fit plates --pattern 'AA9|A9'"),
    "look-alikes without a format": (
        [("look-alikes", {}), ("few pictures", {})],
        {},
        "detector label R PICTURES prelab",
    ),
    "small characters": ([("small characters", {"imgsz": "512"})], {}, "detector fit plates imgsz=512"),
    "too little training": ([("too little training", {})], {}, "detector fit plates batch=8 epochs=2"),
}


@pytest.mark.parametrize(("limits", "facts", "command"), NEXT.values(), ids=NEXT.keys())
def test_the_next_step_is_a_command(
    fitted: detector.FitResult, monkeypatch: pytest.MonkeyPatch,
    limits: list[tuple[str, dict[str, str]]], facts: dict[str, Any], command: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(fitted.folder.parent)
    Path("prelabels.csv").touch()
    facts = {"to_review": 0, "unlisted": 0, "spelt": (), "source": "plates", **facts}
    counts = {name: facts[name] for name in ("to_review", "waiting", "prelabels") if name in facts}
    report = replace(fitted.conversion, **counts)
    found = tuple(detector.Limit(kind, 5, "so it is", more) for kind, more in limits)
    result = replace(fitted, limits=found, conversion=report, unlisted=facts["unlisted"])
    monkeypatch.setattr("detector.workflow.fit.fit", lambda *_, **__: result)
    trained = ["time=0.1", "batch=8"] if "batch" in command else []
    done = CliRunner().invoke(app, ["fit", facts["source"], *trained, *facts["spelt"]])
    assert done.exit_code in (0, 5), done.output
    said = done.stderr.replace(f"{fitted.folder.name}/reader.pt", "R").replace(f"{fitted.folder.name}/set,", "S,")
    assert f"next: {command}" in " ".join(said.split())


def _stopped(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt
