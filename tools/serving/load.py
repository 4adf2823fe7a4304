"""`detector serve` under load: pictures/s beside `read_many` on the same pictures in the same run, latency, errors.

    python tools/serving/load.py [--clients 64] [--seconds 60] [--each 1] [--form raw] [--data SET]
                                 [--total 100000] [--peers-python PEERS/bin/python]

Starts `detector serve` on the loopback address. Clients, in this process and on the same cores, each keep a connection
and send the next request when the last one is answered. Every answer is compared with the text that `read_many` reads
in the same picture. `read_many` runs before and after, each for a quarter of the time, with the pictures in memory, and
the share is that of its mean. --each is pictures a request, --form how they are sent (raw takes one), --total the
number of pictures after which clients end, which shows whether memory grows. SET is a folder with labels.csv; without
--data pictures are drawn. The peers, by --peers-python as in peers/zero_shot.py, answer one picture a request:
ddddocr's own server, and a plain FastAPI around RapidOCR (`peer_app.py`); they need `rapidocr ddddocr onnxruntime
fastapi uvicorn python-multipart`. Run it on an idle machine. Prints Markdown tables and writes OUT.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import uvloop

import detector
from tools.processes import free_port
from tools.results import ROOT, machine, machine_lines, write_json
from tools.serving.clients import HANG_SECONDS, Request, http, requests_of, under_load
from tools.sets import read_labels

# --- pictures -----------------------------------------------------------------------------------------------------


def draw_pictures(count: int) -> list[bytes]:
    """Draw captchas, plates and labels of up to 8 symbols; return PNG files."""
    from detector.synth import SynthConfig, Synthesizer

    synthesizer = Synthesizer(SynthConfig(size_wh=(256, 64), styles=("captcha", "plate", "label")))
    return [cv2.imencode(".png", synthesizer(number).image)[1].tobytes() for number in range(count)]


def read_pictures(folder: Path, count: int) -> list[bytes]:
    """Return the files of the first pictures of a set, by name."""
    rows = read_labels(folder / "labels.csv")
    return [path.read_bytes() for path, _ in sorted(rows, key=lambda row: str(row[0]))[:count]]


# --- services -----------------------------------------------------------------------------------------------------


def start_service(command: Sequence[str], port: int, path: str, log: Path) -> subprocess.Popen[bytes]:
    """Start a service, and wait until it answers under ``path``.

    Raises:
        SystemExit: if it ends or hangs.
    """
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file)
    deadline = time.monotonic() + HANG_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=HANG_SECONDS):
                return process
        except OSError:
            time.sleep(0.1)
    process.kill()
    raise SystemExit(f"{' '.join(command)} does not start: see {log}")


def memory_mb(process: subprocess.Popen[bytes]) -> float:
    """Return the resident memory of a process; 0 if the system has no /proc."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS")), 0.0)


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """Return the CPU seconds of a process; 0 if the system has no /proc."""
    try:
        fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def stop_service(process: subprocess.Popen[bytes]) -> int:
    """End a process by SIGTERM, and by SIGKILL if it hangs; return its exit code."""
    process.terminate()
    try:
        return process.wait(HANG_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def reading_rate(reader: detector.Reader, pictures: Sequence[bytes], seconds: float) -> tuple[float, float]:
    """Return the pictures/s of `read_many`, and its CPU milliseconds a picture."""
    count, start_time, start_cpu = 0, time.monotonic(), time.process_time()
    while time.monotonic() - start_time < seconds:
        reader.read_many(pictures)
        count += len(pictures)
    return count / (time.monotonic() - start_time), 1000 * (time.process_time() - start_cpu) / count


def pictures_a_batch(port: int) -> float:
    """Return the mean number of pictures in a batch, as the service counts it."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=HANG_SECONDS) as response:
        lines = [line.rpartition(" ") for line in response.read().decode().splitlines()]
    metrics = {name.partition("{")[0]: float(value) for name, _, value in lines if name.startswith("detector_batch")}
    return metrics["detector_batch_pictures_sum"] / metrics["detector_batch_pictures_count"]


def measure_own(options: argparse.Namespace, requests: Sequence[Request], logs: Path) -> dict[str, Any]:
    """Return the figures of `detector serve` under load."""
    port = free_port()
    command = [sys.executable, "-m", "detector", "serve", options.weights, "--port", str(port)]
    process = start_service(
        [*command, "--max-pictures", str(max(64, options.each))], port, "/readyz", logs / "serve.log"
    )
    memory: list[tuple[int, float]] = []
    try:
        asyncio.run(under_load(port, requests, options.clients, 2.0, None, lambda _: None))  # warm
        start_cpu, start_client_cpu = cpu_seconds(process), time.process_time()
        load = uvloop.run(
            under_load(
                port, requests, options.clients, options.seconds, options.total,
                lambda pictures: memory.append((pictures, memory_mb(process))),
            )
        )  # fmt: skip
        cpu, client_cpu = cpu_seconds(process) - start_cpu, time.process_time() - start_client_cpu
        batch = pictures_a_batch(port)
    finally:
        code = stop_service(process)
    figures = load.figures()
    figures["pictures_a_batch"] = batch
    figures["cpu_ms"], figures["clients_cpu_ms"] = (
        1000 * seconds / max(1, load.pictures) for seconds in (cpu, client_cpu)
    )
    if code:
        figures["errors"][f"exit code {code}"] = 1
    early = [mb for pictures, mb in memory if pictures <= load.pictures / 10] or [memory[0][1]]
    figures["memory_mb"] = {"at a tenth": early[-1], "at the end": memory[-1][1], "most": max(mb for _, mb in memory)}
    return figures


def peers(options: argparse.Namespace, pictures: Sequence[bytes], logs: Path) -> dict[str, Any]:
    """Return the figures of other services with the same pictures, one a request; the reason if one does not start."""
    results: dict[str, Any] = {}
    uvicorn = [options.peers_python, "-m", "uvicorn", "--log-level", "error"]
    commands = {
        # What `python -m ddddocr api` of 1.6.1 starts answers 500 to every picture.
        "ddddocr's server": [*uvicorn, "--factory", "ddddocr.api:create_app"],
        "FastAPI + RapidOCR": [*uvicorn, "tools.serving.peer_app:app"],
    }
    for name, command in commands.items():
        port = free_port()
        try:
            process = start_service(
                [*command, "--port", str(port)], port, "/openapi.json", logs / f"{name.split()[0]}.log"
            )
        except SystemExit as error:
            results[name] = {"left out": str(error)}
            continue
        try:
            if name.startswith("dddd"):
                request = urllib.request.Request(
                    f"http://127.0.0.1:{port}/initialize", b"{}", {"Content-Type": "application/json"}
                )
                urllib.request.urlopen(request, timeout=HANG_SECONDS).close()
                bodies = [json.dumps({"image": base64.b64encode(picture).decode()}).encode() for picture in pictures]
                requests: list[Request] = [(http("/ocr", "application/json", body), None) for body in bodies]
            else:
                requests = [(http("/read", "image/png", picture), None) for picture in pictures]
            asyncio.run(under_load(port, requests, options.clients, 2.0, None, lambda _: None))  # warm
            seconds = min(options.seconds, 20.0)
            load = uvloop.run(under_load(port, requests, options.clients, seconds, None, lambda _: None))
            results[name] = load.figures()
        finally:
            stop_service(process)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="shipped")
    parser.add_argument("--data", type=Path, help="a folder with labels.csv; without it pictures are drawn")
    parser.add_argument("--pictures", type=int, default=512, help="different ones")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--total", type=int, help="end after so many pictures instead")
    parser.add_argument("--each", type=int, default=1, help="pictures a request")
    parser.add_argument("--form", choices=("raw", "multipart", "json"), help="[raw for one picture, else multipart]")
    parser.add_argument("--peers-python", help="a Python that has the peers; without it they are left out")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "serving" / "load.json")
    options = parser.parse_args()
    options.form = options.form or ("raw" if options.each == 1 else "multipart")
    if options.form == "raw" and options.each != 1:
        parser.error("--form raw sends one picture a request")
    options.out.parent.mkdir(parents=True, exist_ok=True)

    pictures = read_pictures(options.data, options.pictures) if options.data else draw_pictures(options.pictures)
    reader = detector.Reader(options.weights, device="cpu")
    texts = [reading.text if isinstance(reading, detector.Reading) else "" for reading in reader.read_many(pictures)]
    requests = requests_of(pictures, texts, options.each, options.form)
    quarter = max(2.0, min(60.0, options.seconds) / 4)
    rate_before, cpu_before = reading_rate(reader, pictures, quarter)
    serve = measure_own(options, requests, options.out.parent)
    rate_after, cpu_after = reading_rate(reader, pictures, quarter)
    share = 2 * serve["pictures_per_second"] / (rate_before + rate_after)
    result: dict[str, Any] = {
        "machine": machine(), "clients": options.clients, "each": options.each, "form": options.form,
        "set": options.data.name if options.data else "drawn", "different": len(pictures),
        "read_many": [rate_before, rate_after], "read_many_cpu_ms": [cpu_before, cpu_after],
        "share_of_read_many": share, "serve": serve,
    }  # fmt: skip
    if options.peers_python:
        result["peers"] = peers(options, pictures, options.out.parent)
    write_json(options.out, result)
    print(report(result))


def report(result: dict[str, Any]) -> str:
    """Return a Markdown table, with the CPU times and the memory of the service."""
    rate_before, rate_after = result["read_many"]
    lines = [
        f"{result['clients']} clients, {result['each']} pictures a request ({result['form']}), {result['different']} "
        f"different ones ({result['set']})",
        "",
        "| | pictures/s | p50 | p99 | requests | errors | swapped |",
        "|---|---|---|---|---|---|---|",
        f"| `read_many`, before and after | {rate_before:.0f}, {rate_after:.0f} | | | | | |",
    ]
    for name, figures in {"`detector serve`": result["serve"], **result.get("peers", {})}.items():
        if "left out" in figures:
            lines.append(f"| {name} | left out: {figures['left out']} | | | | | |")
            continue
        ms = f"{figures['p50_ms']:.0f} ms | {figures['p99_ms']:.0f} ms"
        share = f" ({result['share_of_read_many']:.2f} of `read_many`)" if figures is result["serve"] else ""
        swapped = figures["swapped"] if figures is result["serve"] else ""
        lines.append(
            f"| {name} | {figures['pictures_per_second']:.0f}{share} | {ms} | {figures['requests']} | "
            f"{sum(figures['errors'].values())} | {swapped} |"
        )
    serve, cpu = result["serve"], statistics.mean(result["read_many_cpu_ms"])
    lines += [
        "",
        f"CPU time a picture: `read_many` {cpu:.2f} ms, the service {serve['cpu_ms']:.2f} ms, the clients "
        f"{serve['clients_cpu_ms']:.2f} ms. A batch has {serve['pictures_a_batch']:.1f} pictures in the mean.",
    ]
    lines += [
        f"Memory of the service: {', '.join(f'{mb:.0f} MB {moment}' for moment, mb in serve['memory_mb'].items())}."
    ]
    if serve["errors"]:
        lines.append(f"Errors: {serve['errors']}")
    return "\n".join([*lines, *machine_lines([result])])


if __name__ == "__main__":
    main()
