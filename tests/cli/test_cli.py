"""The command line: arguments, outputs, exit codes."""

from __future__ import annotations

import csv
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner

import detector
from detector import Alphabet, cli, synth
from detector.cli import app, main, progress
from detector.cli.commands.train import parse_arguments
from detector.cli.repeated import repeated
from detector.conversion import convert as conversion
from detector.errors import ArgumentError, DetectorError
from detector.reading import evaluation
from detector.reading import export as exporting
from detector.reading import reader as predict
from detector.reading.two_pass import ReadingPipeline
from detector.text.alphabet import DEFAULT_SYMBOLS
from detector.text.metrics import TextScore
from detector.training.profiling import measure
from detector.training.result import TrainingResult
from detector.workflow import demo
from detector.workflow import label as labelling
from detector.workflow import pack as packing
from tests.builders import toy_synthesizer, write_pictures


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    command = [sys.executable, "-m", "detector", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=600)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["data=x.yaml", "epochs=50"], {"data": "x.yaml", "epochs": 50}),
        (["lr0=1e-3"], {"lr0": 0.001}),
        (["resume"], {"resume": True}),
        (["resume=True"], {"resume": True}),
        (["resume=20261130"], {"resume": "20261130"}),
        (["resume=none"], {"resume": None}),
        (["--epochs=3"], {"epochs": 3}),
        (["device=cpu", "amp=False"], {"device": "cpu", "amp": False}),
        (["name=one"], {"name": "one"}),
        (["freeze=[0,1]"], {"freeze": [0, 1]}),
        (["name=007"], {"name": "007"}),
        (["name=2024-05-01", "project=no"], {"name": "2024-05-01", "project": "no"}),
        (["data=[new]/data.yaml"], {"data": "[new]/data.yaml"}),
        (["classes=[0"], {"classes": "[0"}),
        (["augment=off"], {"augment": "off"}),
        (["cos_lr=true", "pretrained=None"], {"cos_lr": True, "pretrained": None}),
        (["epochs=010", "time=1:30"], {"epochs": "010", "time": "1:30"}),
        (["device=0,1"], {"device": "0,1"}),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_train_arguments(arguments: list[str], expected: dict[str, Any]) -> None:
    assert parse_arguments(arguments) == expected


def test_train_arguments_that_are_no_pairs() -> None:
    with pytest.raises(DetectorError, match="'datasets/x' is not NAME=VALUE"):
        parse_arguments(["datasets/x"])


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["convert", "nowhere", "out"], 4, "no file or folder"),
        (["train", "data=nowhere.yaml"], 6, "nowhere.yaml"),
        (["train", "data=x.yaml", "epoch=3"], 2, "'epoch' is not a valid YOLO argument"),
        (["train", "data=x.yaml", "epochs=abc"], 2, "epochs"),
        (["predict", "nowhere.pt", "x.png"], 7, "nowhere.pt"),
        (["predict", "shipped", "x.png", "--device", "xyz"], 2, "device='xyz' is no device: give cpu"),
        (["synth", "out", "--size", "big"], 2, "WIDTHxHEIGHT"),
        (["convert"], 2, "Missing argument"),
    ],
    ids=["source", "data", "yolo argument", "yolo value", "weights", "device", "size", "usage"],
)
def test_errors_are_one_message_and_a_code(
    arguments: list[str], code: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["detector", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    out, log = capsys.readouterr()
    assert ended.value.code == code, log
    assert says in log and "Traceback" not in log and out == ""


def test_an_error_of_the_command_is_the_exit_code_of_its_process(tmp_path: Path) -> None:
    done = run("convert", "nowhere", "out", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (4, "")
    assert "no file or folder" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "functions"),
    [
        (cli.fit.command, [conversion.convert]),
        (cli.convert.command, [conversion.convert]),
        (cli.label.command, [labelling.label]),
        (cli.predict.command, [predict.Reader]),
        (cli.evaluate.command, [evaluation.evaluate, evaluation.Evaluation.coverage, predict.Reader]),
        (cli.export.command, [exporting.export]),
        (cli.synth.command, [synth.SynthConfig, synth.write_set]),
        (cli.profile.command, [measure.profile]),
        (cli.demo.command, [demo.demo]),
        (cli.pack.command, [packing.pack]),
    ],
    ids=["fit", "convert", "label", "predict", "evaluate", "export", "synth", "profile", "demo", "pack"],
)
def test_commands_and_functions_have_the_same_defaults(
    command: Callable[..., None], functions: list[Callable[..., Any]]
) -> None:
    """The command line repeats them, for it must not wait for what is behind it just to show its help."""
    shared = set()
    for function in functions:
        theirs = inspect.signature(function).parameters
        for name, mine in inspect.signature(command).parameters.items():
            if name in theirs and inspect.Parameter.empty not in (mine.default, theirs[name].default):
                shared.add(name)
                assert mine.default in (theirs[name].default, None), f"{function.__qualname__}: {name}"
    assert shared


@pytest.mark.parametrize(
    ("verb", "function", "says"),
    [
        ("convert", "detector.conversion.convert.convert", "out is as it was, and the same command goes on"),
        ("pack", "detector.workflow.pack.pack", "stopped by Ctrl-C; the same command goes on where this one was"),
    ],
)
def test_ctrl_c_says_what_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, function: str, says: str
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(function, stopped)
    done = CliRunner().invoke(app, [verb, str(tmp_path), "out"])
    assert done.exit_code == 130
    assert says in done.stderr


def test_pack_then_predict(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="Parquet needs the extra shards")
    make = toy_synthesizer(alphabet=Alphabet(), min_length=4)
    lines = ["image,text", "none.png,AB"]
    for number in range(2):
        Image.fromarray(make(number).image[:, :, ::-1]).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{make(number).text}")
    (tmp_path / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
    shards = tmp_path.with_name(f"{tmp_path.name}-shards")
    packed = run("pack", str(tmp_path), str(shards))
    assert packed.returncode == 3, packed.stderr
    assert packed.stdout == f"{shards}\n"
    assert "2 pictures in 1 shard, 0 without a text; 1 refused" in packed.stderr
    assert "refused 1: no such file" in packed.stderr and "rejects.csv" in packed.stderr
    read = run("predict", "shipped", str(shards))
    assert read.returncode == 0, read.stderr
    assert [line.split("\t")[0] for line in read.stdout.splitlines()] == ["0.png", "1.png"]
    again = run("pack", str(tmp_path), str(shards))
    assert again.returncode == 6 and "exists: choose another folder" in again.stderr


def test_ctrl_c_says_that_training_goes_on_and_is_told_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("detector.training.run.run_training", stopped)
    done = CliRunner().invoke(app, ["train", "name=plates"])
    assert done.exit_code == 130 and "before an epoch was finished" in done.stderr and done.stdout == ""
    said: list[str] = []
    monkeypatch.setattr("detector.cli.say", lambda message, **_: said.append(message))
    monkeypatch.setattr("detector.reading.export.export", stopped)
    monkeypatch.setattr(sys, "argv", ["detector", "export", "shipped"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130 and said == ["detector: stopped by Ctrl-C."]


@pytest.mark.parametrize(
    ("right", "count", "changes", "code", "last"),
    [
        (18, 20, {}, 0, "next: detector evaluate weights/x.pt 'my set', then detector predict weights/x.pt PICTURES"),
        (18, 20, {"has_test_split": False}, 0, "next: detector predict weights/x.pt PICTURES"),
        (18, 20, {"interrupted": True}, 130, "next: detector train resume=runs/x/weights/last.pt"),
        (0, 20, {}, 5, "detector: not one of 20 validation pictures is read right by weights/x.pt: train longer"),
        (0, 3, {"has_test_split": False}, 0, "next: detector predict weights/x.pt PICTURES"),  # three tell nothing
    ],
)
def test_train_ends_with_the_next_command(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    right: int,
    count: int,
    changes: dict[str, Any],
    code: int,
    last: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = TrainingResult(
        Path("weights/x.pt"), TextScore(count, right, 0, 0), tmp_path / "runs/x", tmp_path / "my set", True, 7
    )
    monkeypatch.setattr("detector.training.run.run_training", lambda *_, **__: replace(done, **changes))
    monkeypatch.setattr(sys, "argv", ["detector", "train", "name=x"])
    with pytest.raises(SystemExit) as ended:
        main()
    out, log = capsys.readouterr()
    assert (ended.value.code or 0) == code and out == "weights/x.pt\n", "what there is, whatever it is worth"
    assert log.splitlines()[-1].startswith(last)


def test_an_option_of_train_in_the_usual_way_is_shown_in_its_own() -> None:
    with pytest.raises(DetectorError, match="--epochs 3: write epochs=3"):
        parse_arguments(["data=plates", "--epochs", "3"])


def test_progress_without_a_terminal_is_lines_with_the_time_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    with caplog.at_level("INFO", "detector"), progress.progress_bar() as report_progress:
        for done in (600, 601, 602, 603):
            report_progress("boxes", done, 1000)
    assert caplog.messages[0] == "boxes: 600 of 1000"  # what was there before says nothing of the speed
    assert re.fullmatch(r"boxes: 603 of 1000, \d+ (s|min) left", caplog.messages[-1])


def test_readings_that_go_to_a_file_are_told_once_in_a_while(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "detector"):
        quick = progress.ReadingLog()
        quick.report(1)
        quick.report(2, ended=True)
        assert not caplog.messages
        monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
        quick.report(1)
        quick.report(1234, ended=True)
    assert [message.split(" in ")[0] for message in caplog.messages] == ["1 picture read", "1234 pictures read"]


def test_readings_that_are_held_back_are_told_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    write_pictures(tmp_path, ["1.png", "2.png", "3.png"])
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    with caplog.at_level("INFO", "detector"):
        CliRunner().invoke(app, ["predict", "shipped", str(tmp_path), "--device", "cpu"])
    counts = [message.split(" in ")[0] for message in caplog.messages if " read in " in message]
    assert counts[:3] == ["1 picture read", "2 pictures read", "3 pictures read"] and len(counts) > 3


def test_stages_tell_by_their_names_how_they_went(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "STAGE_SECONDS", 0.0)
    with caplog.at_level("INFO", "detector"), progress.progress_bar() as report_progress:
        for stage, done in (("check", 10), ("check", 20), ("locate", 5), ("locate", 20), ("read", 1), ("read", 20)):
            report_progress(stage, done, 20)
    assert [re.sub(r"in .*", "in …", message) for message in caplog.messages] == [
        "check: 10 in …",
        "locate: 15 in …",
        "read: 20 in …",
    ]


@pytest.mark.usefixtures("few_fonts")
def test_synth_then_predict(tmp_path: Path) -> None:
    made = run("synth", "made", "-n", "3", "--styles", "plain", "--workers", "1", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert made.stdout.strip() == str(Path("made/labels.csv"))
    (tmp_path / "made" / "images" / "9999999.png").write_bytes(b"")
    read = run("predict", "shipped", "made/images", "--format", "json", cwd=tmp_path)
    assert read.returncode == 3  # one picture was refused, the others were read
    lines = [json.loads(line) for line in read.stdout.splitlines()]
    assert [Path(line["image"]).name for line in lines] == ["0000000.png", "0000001.png", "0000002.png", "9999999.png"]
    assert "empty file" in lines[-1]["error"]
    assert all({"text", "confidence", "characters"} <= line.keys() for line in lines[:-1])


def test_of_several_sources_one_that_is_missing_ends_nothing(tmp_path: Path) -> None:
    make = toy_synthesizer(alphabet=Alphabet(), min_length=4)
    names = [str(tmp_path / name) for name in ("a.png", "b.png", "c.png")]
    for number in (0, 2):
        Image.fromarray(make(number).image[:, :, ::-1]).save(names[number])
    done = CliRunner().invoke(app, ["predict", "shipped", *names, "--device", "cpu"])
    assert done.exit_code == 3 and f"{names[1]}: no such file" in done.stderr
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == [names[0], names[2]]


def test_a_folder_without_pictures_is_said_to_be_one(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["predict", "shipped", str(tmp_path), "--device", "cpu"])
    assert (done.exit_code, done.stdout) == (1, "") and f"There is no picture in {tmp_path}" in str(done.exception)
    done = CliRunner().invoke(app, ["predict", "shipped", "-", "--device", "cpu"], input="")
    assert (done.exit_code, done.stdout) == (0, ""), "a list that a script makes may be empty"


def test_rejected_readings_are_shown_as_such(tmp_path: Path) -> None:
    make = toy_synthesizer(alphabet=Alphabet(), min_length=4)
    for number in range(2):
        Image.fromarray(make(number).image[:, :, ::-1]).save(tmp_path / f"{number}.png")
    asked = ["predict", "shipped", str(tmp_path), "--min-confidence", "1", "--device", "cpu"]
    text, table = (CliRunner().invoke(app, [*asked, "--format", kind]) for kind in ("text", "csv"))
    assert text.exit_code == table.exit_code == 3
    assert len(text.stdout.splitlines()) == 2
    for line in text.stdout.splitlines():
        _, read, reason = line.split("\t")
        assert read == "" and re.fullmatch(
            r"rejected '[A-Z0-9]+': character \d, '.', has confidence .*, below 1", reason
        )
    rows = list(csv.DictReader(table.stdout.splitlines()))
    assert (
        all(row["text"] == "" and row["rejected_text"] and "below 1" in row["rejected"] for row in rows)
        and len(rows) == 2
    )


def test_names_of_every_kind_leave_the_lines_whole(tmp_path: Path) -> None:
    make = toy_synthesizer(alphabet=Alphabet(), min_length=4)
    (tmp_path / "in").mkdir()
    for name in (b"a\tb\nc.png", b"\xff.png"):
        Image.fromarray(make(0).image[:, :, ::-1]).save(tmp_path / "x.png")
        (tmp_path / "x.png").rename(tmp_path / "in" / os.fsdecode(name))
    (tmp_path / "in" / "empty.png").write_bytes(b"")
    for kind in ("text", "json", "csv"):
        done = subprocess.run(
            [sys.executable, "-m", "detector", "predict", "shipped", "in", "-f", kind], capture_output=True,
            cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"}, check=False,
        )  # fmt: skip
        out = done.stdout.decode("utf-8")
        assert done.returncode == 3, done.stderr
        if kind == "text":
            assert [line.split("\t")[0] for line in out.splitlines()] == ["in/a\\tb\\nc.png", "in/\\udcff.png"]
        elif kind == "json":
            assert os.fsdecode(b"in/\xff.png") in [json.loads(line)["image"] for line in out.splitlines()]
        else:
            rows = {row["image"]: row for row in csv.DictReader(out.splitlines(keepends=True))}
            assert rows["in/empty.png"]["error"] == "empty file (0 bytes)" and rows["in/\\udcff.png"]["error"] == ""


def test_alternatives_are_told_in_json_alone(tmp_path: Path) -> None:
    for kind in ("text", "csv"):
        done = CliRunner().invoke(app, ["predict", "shipped", str(tmp_path), "--alternatives", "3", "-f", kind])
        assert isinstance(done.exception, ArgumentError)
        assert "--alternatives 3 has no effect: say --format json" in str(done.exception)


def test_results_go_one_way() -> None:
    """By :func:`put`, which knows what becomes of names: typer takes escapes out of what goes to a file."""
    for path in Path(cli.__file__).parent.rglob("commands/**/*.py"):
        assert not re.search(r"typer\.echo|(?<!console\.)\bprint\(", path.read_text(encoding="utf-8")), path


CONTROLLING = b"\x1b[2J\xc2\x9b31m\xe2\x80\xaegnp.png"
"""A name that would clear the screen, turn red, and be read as ...png.png."""


@pytest.mark.parametrize("kind", ["text", "json", "csv"])
def test_names_that_would_control_a_terminal(kind: str, tmp_path: Path) -> None:
    """On a terminal they are shown with escapes; results that go elsewhere have them as they are."""
    pty = pytest.importorskip("pty", reason="no terminals here")
    name = os.fsdecode(CONTROLLING)
    Image.fromarray(toy_synthesizer(alphabet=Alphabet())(0).image[:, :, ::-1]).save(tmp_path / "x.png")
    (tmp_path / "x.png").rename(tmp_path / name)
    (tmp_path / "\x1b]0;title\x07.png").write_bytes(b"")
    command = [sys.executable, "-m", "detector", "predict", "shipped", ".", "-f", kind, "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, check=False)
    if kind == "json":
        assert name in [json.loads(line)["image"] for line in done.stdout.splitlines()]
        assert b"\x1b" not in done.stdout and b"\xc2\x9b" not in done.stdout
    else:
        assert CONTROLLING in done.stdout
    assert b"\x1b" not in done.stderr and rb"\x1b]0;title\x07.png: empty file" in done.stderr
    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0) as terminal:
        subprocess.run(command, stdout=theirs, stderr=subprocess.DEVNULL, cwd=tmp_path, check=False)
        os.close(theirs)
        shown = terminal.read(10_000)
    assert b"gnp.png" in shown
    assert not re.search(b"\x1b|\xc2\x9b|\xe2\x80\xae", shown), shown


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("kind", ["text", "csv"])
def test_a_full_disk_is_one_message(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    Image.fromarray(toy_synthesizer(alphabet=Alphabet())(0).image[:, :, ::-1]).save(tmp_path / "b.png")
    command = [sys.executable, "-m", "detector", "predict", "shipped", ".", "-f", kind]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "detector: the output cannot be written: No space left on device. Make room there, or choose another place."
    )


@pytest.mark.parametrize("kind", ["text", "csv"])
def test_a_reader_that_has_gone_is_no_traceback(kind: str, tmp_path: Path) -> None:
    Image.fromarray(toy_synthesizer(alphabet=Alphabet())(0).image[:, :, ::-1]).save(tmp_path / "b.png")
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "detector", "predict", "shipped", ".", "-f", kind]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, cwd=tmp_path, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_are_as_if_they_led_nowhere(closed: str, tmp_path: Path) -> None:
    """The exit code alone tells then, and no file has the number of a stream that libraries write to."""
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "AB.png").write_bytes(b"no picture")
    for arguments, code in (("pack new out", 0), ("pack new out --rows 2", 6)):
        command = f"{shlex.quote(sys.executable)} -m detector {arguments} {closed}"
        assert subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True).returncode == code


@pytest.mark.parametrize("options", [["--no-two-pass"], ["--two-pass", "--upper"], ["--ignore", "- "]])
def test_a_command_that_is_repeated_is_the_same(options: list[str]) -> None:
    def evaluate(*words: str) -> typer.Context:
        return get_command(app).commands["evaluate"].make_context("evaluate", [*words])  # type: ignore[attr-defined,no-any-return]

    context = evaluate("shipped", "labels.csv", *options)
    detector_word, verb, *words = shlex.split(repeated(context))
    assert (detector_word, verb) == ("detector", "evaluate") and {*options} <= {*words}
    assert evaluate(*words).params == context.params


RENAMED = {"a word": ["--blank", "_"], "one word": ["--blank=_"], "the new name": ["--space", "_"]}


@pytest.mark.parametrize("option", RENAMED.values(), ids=RENAMED.keys())
def test_options_are_taken_by_their_old_names(option: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def evaluate(reader: object, source: object, **how: Any) -> None:
        asked.update(how)
        raise DetectorError("enough")

    monkeypatch.setattr(evaluation, "evaluate", evaluate)
    done = CliRunner().invoke(app, ["evaluate", "shipped", "labels.csv", "--device", "cpu", *option])
    assert asked["space"] == "_" and str(done.exception) == "enough"
    assert ("--blank is deprecated: it is called --space now." in done.stderr) == option[0].startswith("--blank")


@pytest.mark.usefixtures("few_fonts")
def test_quiet_tells_results_and_errors_only(tmp_path: Path) -> None:
    drawn = ["synth", "--count", "2", "--workers", "1", "--styles", "segments"]
    said, quiet = (CliRunner().invoke(app, [*q, *drawn, str(tmp_path / f"of{len(q)}")]) for q in ([], ["-q"]))
    assert said.exit_code == quiet.exit_code == 0 and "2 pictures" in said.stderr
    assert quiet.stderr == "" and quiet.stdout.strip() == str(tmp_path / "of1" / "labels.csv")
    missing = CliRunner().invoke(app, ["-q", "predict", "shipped", str(tmp_path / "of1"), "no.png", "--device", "cpu"])
    assert "no.png: no such file" in missing.stderr


def test_names_of_arguments_that_need_a_value(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["train", "data"])
    assert done.exit_code == 1 and "data needs a value: write data=" in str(done.exception)


def test_predict_reads_a_folder_as_its_strings_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [
        f"{a}{b}{n}" for n, (a, b) in enumerate(zip("ABCDEFGHJKLMNPRSTUVW", "KLMNPRSTUVWABCDEFGHJ", strict=True), 230)
    ]
    texts += [f"O{a}{n}" for n, a in enumerate("BCDEF", 340)]
    pictures = write_pictures(tmp_path, [f"{i:03}.png" for i in range(len(texts))])
    seen = [text.replace("O", "0") for text in texts]  # a typeface whose O is its 0
    spellings = iter(seen * 6)

    def detect(_: object, prepared: Sequence[object]) -> list[detector.CharDetections]:
        """Sure characters in a row, as if the next text were in the picture."""
        places = np.arange(5)
        boxes = np.stack([20 * places, 0 * places, 20 * places + 16, 0 * places + 30], 1)
        ids = [[DEFAULT_SYMBOLS.index(sign) for sign in next(spellings)] for _ in prepared]
        return [detector.CharDetections(boxes, np.full(5, 0.99), row) for row in ids]

    monkeypatch.setattr(ReadingPipeline, "detect", detect)
    asked = ["predict", "shipped", str(pictures), "--device", "cpu"]
    told = CliRunner().invoke(app, [*asked, "--format", "csv"])
    rows = list(csv.DictReader(told.stdout.splitlines()))
    assert [row["text"] for row in rows] == texts
    assert [row["unconstrained_text"] for row in rows] == [""] * (len(texts) - 5) + seen[-5:], "where they differ"
    assert "these look like AA999" in told.stderr
    lines = CliRunner().invoke(app, [*asked, "--format", "json"]).stdout.splitlines()
    readings = [json.loads(line) for line in lines]
    assert [(r["text"], r.get("unconstrained_text", "")) for r in readings] == [
        (row["text"], row["unconstrained_text"]) for row in rows
    ]
    listed = "\n".join(map(str, sorted(pictures.iterdir())))
    from_list = [*asked[:2], "-", *asked[3:]]
    for command in [*asked, "--no-format"], from_list:  # a list may come slowly
        alone = CliRunner().invoke(app, command, input=listed)
        assert [line.split("\t")[1] for line in alone.stdout.splitlines()] == seen
        assert "look like" not in alone.stderr
    monkeypatch.setattr("detector.reading.reader.FIRST_LEARNT", 20)
    told = CliRunner().invoke(app, from_list, input=listed)
    assert [line.split("\t")[1] for line in told.stdout.splitlines()] == texts
    assert told.stderr.count("these look like AA999") == 1
    pattern = CliRunner().invoke(app, [*asked, "--pattern", "XX999"])
    assert "look like" not in pattern.stderr
