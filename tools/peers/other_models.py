"""Other detectors with this package's decoder, trained on the same converted set for the same minutes: exact match.

    python tools/peers/other_models.py --peers-python RFDETR/bin/python [--sets captcha-v2] [--models char faster-rcnn]

A set is converted once, without its held-out fifth; all detectors learn from its split "train", letterboxed to the
set's shape and augmented by this package, for --minutes of wall clock on the cores that this process may use (taskset).
What they detect on the held-out pictures goes through the same suppression, second pass and decoder, with the set's
configuration, so that the table compares detectors alone. `char`, YOLO11n and YOLO26n train by `detector train` (its
choice of weights by validation included), Faster R-CNN and RF-DETR nano by peer_detectors.py. All but the first start
from random weights: nothing is downloaded, and neither Ultralytics' package nor the wheels of torchvision and rfdetr
hold pretrained ones, whose worth the table does not show.

RF-DETR runs by --peers-python, an environment with this package and it: `python -m venv RFDETR && RFDETR/bin/pip
install -e ".[train]" "rfdetr>=1.11"`; it is left out, with the reason, where it cannot be imported there. Each model
has a process of its own. Strings are compared as zero_shot.py does. Latency is in torch and float32 on the threads of
this run: of the network alone on a letterboxed picture, as the median of 50 calls, and from file to string, as the
median of the held-out pictures. Leaves OUT/SET.MODEL.json, skips what is there, and prints all of OUT as a Markdown
table.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tools.arguments import parse_arguments
from tools.peers import trained_peers, zero_shot
from tools.processes import answer_as_peer, ask_peer
from tools.results import error_facts, machine, machine_lines, measure_once, read_results

SETS = trained_peers.SETS
MODELS = {
    "char-shipped": "char, from the shipped weights",
    "char": "char",
    "yolo11n": "YOLO11n",
    "yolo26n": "YOLO26n",
    "faster-rcnn": "Faster R-CNN, MobileNetV3 320",
    "rf-detr-nano": "RF-DETR nano",
}
"""Names of the detectors in files and options, and in the table."""

BY_DETECTOR_TRAIN = ("char-shipped", "char", "yolo11n", "yolo26n")
IN_PEERS_PYTHON = ("rf-detr-nano",)


def converted_set(name: str, rows: dict[str, list[trained_peers.Row]], folder: Path, seed: int) -> Path:
    """Convert a set without its held-out pictures, unless that was done; return its data.yaml."""
    root = folder / f"{name}.set"
    if not (root / "data.yaml").is_file():
        trained_peers.convert_without_test(rows, folder / f"{name}.labels.csv", root, seed)
    return root / "data.yaml"


# --- in a process of its own --------------------------------------------------------------------------------------


def learn_ours(model: str, question: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Train by `detector train`; return the network that reads, and figures."""
    import torch

    import detector
    from detector.data.sets.yolo_dataset import read_set
    from detector.networks import ultralytics
    from detector.networks.shipped import NETWORK
    from tools.weights.ship_weights import parameters_of

    folder = Path(question["work"])
    start_model = {"char-shipped": None, "char": NETWORK}.get(model, f"{model}.yaml")
    start_time = time.perf_counter()
    result = detector.train(
        question["data"], model=start_model, time=question["minutes"] / 60, name=model, seed=question["seed"],
        device="cpu", project=folder / "runs", weights=folder,
    )  # fmt: skip
    minutes = (time.perf_counter() - start_time) / 60
    pictures = len(read_set(question["data"]).rows("train")[0])
    figures = {
        "minutes": {"train": minutes}, "epochs": result.epochs, "pictures_drawn": result.epochs * pictures,
        "parameters": parameters_of(result.path), "megabytes": result.path.stat().st_size / 1e6,
    }  # fmt: skip
    return ultralytics.TorchNetwork.open(result.path, torch.device("cpu")), figures


def learn(model: str, question: dict[str, Any]) -> dict[str, Any]:
    """Train a detector and read the held-out pictures with it; return texts as zero_shot.timed's, and figures."""
    import torch

    torch.set_num_threads(question["threads"])
    from detector.data.images import read_image
    from detector.data.sets.yolo_dataset import read_set
    from detector.reading.two_pass import ReadingPipeline
    from tools.peers import peer_detectors
    from tools.weights.networks import latency_ms

    characters, folder = read_set(question["data"]), Path(question["work"])
    if model in BY_DETECTOR_TRAIN:
        network, figures = learn_ours(model, question)
    else:
        network, figures = peer_detectors.learn(model, characters, question["minutes"], question["seed"], folder)
    torch.set_num_threads(question["threads"])
    pipeline = ReadingPipeline(network, characters.config, characters.config.is_two_pass)
    figures |= zero_shot.timed(lambda path: pipeline([read_image(path)])[0].text, question["test"])
    letterboxed = pipeline.prepare(read_image(question["test"][0])).letterboxed
    return figures | {"ms_network": latency_ms(network, letterboxed, 1)}


def answer(model: str, question: dict[str, Any]) -> dict[str, Any]:
    """Learn and read, in a process of its own; return ``error`` if that fails."""
    question["threads"] = trained_peers.set_threads()
    try:
        return learn(model, question)
    except Exception as error:  # whatever a library raises is this model's result; the others are run all the same
        return {"error": error_facts(error)}


# --- here ---------------------------------------------------------------------------------------------------------


def run_model(name: str, model: str, rows: dict[str, list[trained_peers.Row]], args: argparse.Namespace) -> Any:
    """Measure one detector on one set; return its score, size and times, or the error that ended it."""
    folder = args.out / f"{name}.{model}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    question = {
        "data": str(converted_set(name, rows, args.out, args.seed)), "test": [path for path, _ in rows["test"]],
        "minutes": args.minutes, "seed": args.seed, "work": str(folder),
    }  # fmt: skip
    result: dict[str, Any] = {
        "set": name, "model": model, "seed": args.seed, "budget_minutes": args.minutes, "machine": machine(),
        "pictures": {part: len(pairs) for part, pairs in rows.items()}, "threads": trained_peers.set_threads(),
    }  # fmt: skip
    python = args.peers_python if model in IN_PEERS_PYTHON else sys.executable
    reply = ask_peer(__file__, model, python, question)
    if "skipped" in reply:
        reply = {"error": {"kind": "Skipped", "message": reply["skipped"]}}
    if "error" in reply:
        print(f"{name}: {model} failed: {reply['error']['kind']}: {reply['error']['message']}", file=sys.stderr)
        return {**result, **reply}
    result["test"] = zero_shot.score(reply, [text for _, text in rows["test"]])
    return {**result, **{key: value for key, value in reply.items() if key not in ("texts", "failed", "ms")}}


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return a Markdown table with a line for each set and detector; the best of each set in bold."""
    lines = [
        "| set | detector | exact match (95 %) | pictures drawn | parameters | MB | ms, network | ms, file to string |",
        "|---|---|---|---|---|---|---|---|",
    ]
    failures = []
    for name in dict.fromkeys(result["set"] for result in results):
        by_model = {result["model"]: result for result in results if result["set"] == name}
        best = max((r["test"]["exact_match"] for r in by_model.values() if "test" in r), default=0.0)
        for model in (model for model in MODELS if model in by_model):
            if "error" in by_model[model]:
                error = by_model[model]["error"]
                failures.append(f"{name}, {MODELS[model]}: {error['kind']}: {error['message']}")
            else:
                lines.append(_line(by_model[model], best))
    budgets = ", ".join(sorted({f"{result['budget_minutes']:g}" for result in results}))
    threads = ", ".join(sorted({str(result["threads"]) for result in results}))
    notes = [
        f"{budgets} minutes of training each, threads: {threads}. All but the first start from random weights: none "
        "were downloaded, and the packages hold no pretrained ones."
    ]
    return "\n".join([*lines, "", *notes, *failures, "", *machine_lines(results)])


def _line(result: dict[str, Any], best: float) -> str:
    test = result["test"]
    match, (low, high) = f"{test['exact_match']:.1%}", test["interval_95"]
    match = f"**{match}**" if test["exact_match"] == best > 0 else match
    cells = [
        result["set"], MODELS[result["model"]], f"{match} ({100 * low:.1f} to {100 * high:.1f}, n={test['count']})",
        f"{result['pictures_drawn']:,}", f"{result['parameters']:,}", f"{result['megabytes']:.2f}",
        f"{result['ms_network']:.1f}", f"{test['ms']:.1f}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main() -> None:
    if answer_as_peer(answer):
        return
    trained_peers.set_threads()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sets", nargs="+", choices=SETS, default=["captcha-v2", "plates-vn8"], metavar="SET", help=", ".join(SETS)
    )
    parser.add_argument(
        "--models", nargs="+", choices=MODELS, default=list(MODELS), metavar="MODEL", help=", ".join(MODELS)
    )
    trained_peers.add_run_arguments(parser, "other_models")
    args = parse_arguments(parser)
    for name in args.sets:
        rows = trained_peers.divide(name, args.data, args.out, args.seed)
        for model in args.models:
            path = args.out / f"{name}.{model}.json"
            measure_once(path, args.again, partial(run_model, name, model, rows, args))
    print(table(read_results(args.out)))


if __name__ == "__main__":
    main()
