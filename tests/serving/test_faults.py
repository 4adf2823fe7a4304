"""What goes wrong around a service: clients that go or stall, and its own end; with the command, in its own process."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import detector
from detector.errors import ArgumentError
from detector.networks.shipped import SHIPPED
from detector.reading.reader import Reader, threaded_pipeline
from tests.serving.running import GUARD, Process, ask, multipart, running, until

PNG = "image/png"


@pytest.fixture(scope="module")
def process() -> Iterator[Process]:
    with Process("plates=shipped", "--body-seconds", "1") as process:
        yield process


def raw(port: int, data: bytes, stay: bool = True) -> bytes:
    """Send bytes; what comes back until the service closes the connection, or nothing where this end closes it."""
    with socket.create_connection(("127.0.0.1", port), timeout=GUARD) as connection:
        connection.sendall(data)
        said = b""
        while stay and (part := connection.recv(65536)):
            said += part
        return said


def head(length: int, kind: str = PNG) -> bytes:
    return f"POST /v1/read HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n".encode()


def detail(answer: bytes) -> str:
    return json.loads(answer.partition(b"\r\n\r\n")[2])["detail"]


def counted(port: int, line: str) -> float:
    lines = [told for told in ask(port, "/metrics").body.decode().splitlines() if told.startswith(line)]
    return sum(float(told.rpartition(" ")[2]) for told in lines)


def test_half_a_body_and_then_silence_is_given_up(process: Process) -> None:
    said = raw(process.port, head(1000) + b"x" * 500)
    assert said.startswith(b"HTTP/1.1 408 ") and b"did not come within 1 s" in said


HALVES = [b"", b"POST /v1/re", b"POST /v1/read HTTP/1.1\r\nHost: x\r\n"]


@pytest.mark.parametrize("half", HALVES, ids=len)
def test_half_a_head_and_then_silence_is_given_up(process: Process, half: bytes) -> None:
    assert raw(process.port, half) == b"", "closed without an answer"


@pytest.mark.parametrize("half", HALVES[1:], ids=len)
def test_half_a_second_head_is_given_up_too(process: Process, half: bytes) -> None:
    with socket.create_connection(("127.0.0.1", process.port), timeout=GUARD) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        said = b""
        while not said.endswith(b'{"status":"ok"}'):
            said += connection.recv(65536)
        connection.sendall(half)
        assert connection.recv(65536) == b""


ENDLESS = b"a" * 70_000  # beyond the limit, and so few that all are received before the connection is closed


@pytest.mark.parametrize("before", [b"GET /", b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: "], ids=["address", "header"])
@pytest.mark.parametrize("after", [b"", b"\r\n\r\n"], ids=["no end", "an end"])
def test_a_long_head_is_refused(process: Process, before: bytes, after: bytes) -> None:
    said = raw(process.port, before + ENDLESS + after)
    assert said.startswith(b"HTTP/1.1 400 ")
    assert detail(said) == "the head of a request has at most 65536 bytes."


@pytest.mark.parametrize(("length", "status"), [(65_536, 200), (65_537, 400)])
def test_the_longest_head_is_measured_alone(process: Process, pictures: list[bytes], length: int, status: int) -> None:
    """With a body of any size behind it, in one piece or after a pause."""
    body, kind = multipart(("f", "a.png", pictures[0]), ("f", "b.png", bytes(1_000_000 if status == 200 else 0)))
    whole = head(len(body), kind).removesuffix(b"\r\n") + b"Connection: close\r\nX-Long: "
    whole += b"a" * (length - len(whole) - 4) + b"\r\n\r\n"
    assert len(whole) == length
    for first in (b"", whole[:100]):
        with socket.create_connection(("127.0.0.1", process.port), timeout=GUARD) as connection:
            connection.sendall(first)
            connection.sendall((whole + body).removeprefix(first))
            assert connection.recv(12) == f"HTTP/1.1 {status}".encode()


def test_trailers_without_an_end_are_given_up(process: Process) -> None:
    chunked = head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    try:
        said = raw(process.port, chunked + b"4\r\nabcd\r\n0\r\nX-Long: " + 8 * ENDLESS)
    except ConnectionError:  # it was closed while this end still sent
        said = b""
    assert said == b"", "long before the time for a body is over"


def test_half_a_body_and_a_closed_connection(process: Process, pictures: list[bytes], texts: list[str]) -> None:
    before = counted(process.port, 'detector_requests_turned_away_total{reason="client gone"}')
    for _ in range(5):
        raw(process.port, head(1000) + b"x" * 500, stay=False)
    until(lambda: counted(process.port, 'detector_requests_turned_away_total{reason="client gone"}') == before + 5)
    assert counted(process.port, "detector_held_bytes") == 0
    assert ask(process.port, "/v1/read", pictures[0], Content_Type=PNG).texts == [texts[0]]


@pytest.mark.parametrize(
    "data",
    [b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"POST /v1/read HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
     b"POST /v1/read HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde"],
    ids=["TLS", "no request", "a length below 0", "two lengths"],
)  # fmt: skip
def test_what_is_no_request_is_refused(process: Process, data: bytes) -> None:
    said = raw(process.port, data)
    assert said.startswith(b"HTTP/1.1 400 ") and detail(said) == "Invalid HTTP request received."


def test_too_many_connections_are_told_so() -> None:
    with Process("shipped") as process, ExitStack() as idle:
        for _ in range(899):
            idle.enter_context(socket.create_connection(("127.0.0.1", process.port), timeout=GUARD))
        answers = []
        until(lambda: answers.append(ask(process.port, "/healthz")) or answers[-1].status == 503)
        assert "900 connections are open" in answers[-1].json["detail"]
        assert (answers[-1].headers["retry-after"], answers[-1].headers["connection"]) == ("1", "close")
        idle.close()
        until(lambda: ask(process.port, "/healthz").status == 200)


def test_more_bytes_than_are_taken(process: Process) -> None:
    assert raw(process.port, head(10**12)).startswith(b"HTTP/1.1 413 ")
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", process.port), timeout=GUARD) as connection:
        connection.sendall(head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"))
        said = b""
        try:
            for _ in range(60):
                connection.sendall(chunk)
            said = connection.recv(65536)
        except OSError:  # it was closed while this end still sent
            pass
        assert not said or said.startswith(b"HTTP/1.1 413 ")
    assert counted(process.port, 'detector_requests_turned_away_total{reason="too large"}') >= 2


def held_back(monkeypatch: pytest.MonkeyPatch, reader: Reader) -> threading.Event:
    """Batches that are taken are read once the event is set, and none before."""
    go, pipeline = threading.Event(), threaded_pipeline(reader)
    prepare = pipeline._prepare
    monkeypatch.setattr(pipeline, "_prepare", lambda pictures: prepare(pictures) if go.wait(GUARD) else [])
    monkeypatch.setattr("detector.serving.app.threaded_pipeline", lambda *_: pipeline)
    return go


def test_clients_that_do_not_wait_are_not_read(
    shipped: Reader, pictures: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue is emptied of what they sent; whoever waits is read."""
    go = held_back(monkeypatch, shipped)
    body, kind = multipart(*[("f", "a.png", pictures[0])] * 64)
    with running(detector.create_app(shipped)) as port:
        kept = socket.create_connection(("127.0.0.1", port), timeout=GUARD)
        kept.sendall(head(len(body), kind) + body)
        until(lambda: counted(port, "detector_batch_pictures_count") == 2)  # both of its batches are being read
        gone = [socket.create_connection(("127.0.0.1", port), timeout=GUARD) for _ in range(3)]
        for connection in gone:
            connection.sendall(head(len(body), kind) + body)
        until(lambda: counted(port, "detector_queue_pictures") == 3 * 64 - 32)  # the third batch may be full
        for connection in gone:
            connection.close()
        until(lambda: counted(port, "detector_queue_pictures") == 0)
        go.set()
        assert kept.recv(100).startswith(b"HTTP/1.1 200 ")
        kept.close()


def test_readings_that_are_not_there_in_time(
    shipped: Reader, pictures: list[bytes], texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    go = held_back(monkeypatch, shipped)
    with running(detector.create_app(shipped, read_seconds=0.1)) as port:
        answer = ask(port, "/v1/read", pictures[0], Content_Type=PNG)
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert answer.json["detail"] == "the readings were not there within 0.1 s: come again."
        go.set()


def test_a_full_queue_says_when_to_come_again(
    shipped: Reader, pictures: list[bytes], texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    go = held_back(monkeypatch, shipped)
    with running(detector.create_app(shipped, max_queue=5, max_pictures=5)) as port:
        answers: list[object] = []
        five, kind = multipart(*[("f", "a.png", pictures[0])] * 5)

        def client() -> None:
            answers.append(ask(port, "/v1/read", five, Content_Type=kind).texts)

        clients = []
        for number in range(3):  # two batches under way, and a full queue
            clients.append(threading.Thread(target=client))
            clients[-1].start()
            until(lambda number=number: counted(port, "detector_batch_pictures_count") == min(2, number + 1))
        until(lambda: counted(port, "detector_queue_pictures") == 5)
        answer = ask(port, "/v1/read", pictures[0], Content_Type=PNG)
        assert answer.status == 429 and int(answer.headers["retry-after"]) >= 1
        assert "the queue is full: come again in" in answer.json["detail"]
        go.set()
        for one in clients:
            one.join(GUARD)
        assert answers == [[texts[0]] * 5] * 3
        assert ask(port, "/v1/read", pictures[0], Content_Type=PNG).texts == [texts[0]]


def test_the_end_under_load_loses_nothing_that_was_taken(pictures: list[bytes], texts: list[str]) -> None:
    """Clients that keep their connection until they are told to leave it get an answer to every request."""
    with Process("shipped") as process:
        told: Counter[str] = Counter()
        lock = threading.Lock()

        def client(number: int) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=GUARD)
            for turn in range(10_000):
                i = (number + 5 * turn) % len(pictures)
                body, kind = multipart(("f", "a.png", pictures[i]), boundary="q" * 30)
                connection.request("POST", "/v1/read", body, {"Content-Type": kind})
                response = connection.getresponse()
                answer = response.read()
                right = response.status == 200 and f'"text": "{texts[i]}"'.encode() in answer
                with lock:
                    told["right" if right else f"{response.status} {answer[:100]!r}"] += 1
                if response.headers.get("connection") == "close":
                    break
            connection.close()

        clients = [threading.Thread(target=client, args=(number,)) for number in range(16)]
        for one in clients:
            one.start()
        until(lambda: told["right"] > 50)
        process.process.send_signal(signal.SIGTERM)
        for one in clients:
            one.join(GUARD)
        assert process.process.wait(GUARD) == 0
    assert set(told) == {"right"}
    requests = [line for line in process.lines if line["message"] == "request"]
    assert len(requests) == told["right"] and {line["status"] for line in requests} == {200}
    assert len({line["request_id"] for line in requests}) == len(requests)


def test_an_end_is_seen_by_who_comes_later_and_may_be_hurried() -> None:
    """A balancer, which asks now and then on a connection of its own, hears of the end while nobody is connected."""
    with Process("shipped", "--drain-seconds", "100000") as process:
        process.process.send_signal(signal.SIGTERM)
        until(lambda: any(line["message"].startswith("ending") for line in process.lines))
        for _ in range(3):
            answer = ask(process.port, "/readyz")
            assert (answer.status, answer.headers["connection"]) == (503, "close")
        process.process.send_signal(signal.SIGINT)
        assert process.process.wait(GUARD) == 0


def test_a_model_file_that_is_replaced_changes_nothing_until_the_next_start(
    tmp_path: Path, pictures: list[bytes], texts: list[str]
) -> None:
    weights = tmp_path / "plates.onnx"
    shutil.copyfile(SHIPPED.with_suffix(".onnx"), weights)
    with Process(str(weights)) as process:
        for change in (lambda: weights.write_bytes(b"no weights"), weights.unlink):
            assert ask(process.port, "/v1/read", pictures[0], Content_Type=PNG).texts == [texts[0]]
            change()
        answer = ask(process.port, "/v1/read", pictures[1], Content_Type=PNG)
        assert (answer.texts, answer.json["model"]) == ([texts[1]], "plates")
        assert process.stop() == 0


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_service_asks_nobody_and_writes_nothing(tmp_path: Path, pictures: list[bytes], texts: list[str]) -> None:
    calls, home = tmp_path / "calls", tmp_path / "home"
    home.mkdir()
    tracer = ("strace", "-D", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg", "-o", str(calls))
    with Process("shipped", tracer=tracer, HOME=str(home), XDG_CACHE_HOME=str(home / "cache")) as process:
        assert ask(process.port, "/v1/read", pictures[0], Content_Type=PNG).texts == [texts[0]]
        for path in ("/", "/docs", "/openapi.json", "/metrics"):
            assert ask(process.port, path).status == 200
        assert process.stop() == 0
    assert "AF_INET" not in calls.read_text(encoding="utf-8", errors="replace")
    assert not list(home.iterdir())


def test_the_image_asks_its_service_whatever_proxy_there_is(process: Process) -> None:
    image = (Path(detector.__file__).parents[1] / "Dockerfile").read_text(encoding="utf-8")
    program, option, code = json.loads(re.findall(r"HEALTHCHECK.*\\\n\s*CMD (\[.*\])", image)[0])
    assert (program, option) == ("python", "-c") and code.count("8000") == 1
    environment = {**os.environ, "http_proxy": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()[1]
    for port, is_healthy in ((process.port, True), (nobody, False)):
        command = [sys.executable, "-c", code.replace("8000", str(port))]
        done = subprocess.run(command, env=environment, capture_output=True, timeout=GUARD)
        assert (done.returncode == 0) is is_healthy, done.stderr


def test_many_bad_pictures_leave_a_service_as_it_was(process: Process, pictures: list[bytes], texts: list[str]) -> None:
    body, kind = multipart(*[("f", "a.png", b"\x89PNG\r\n\x1a\n" + bytes([i])) for i in range(64)])
    for _ in range(160):  # ten thousand pictures
        answer = ask(process.port, "/v1/read", body, Content_Type=kind)
        assert answer.status == 200 and all(reading["error"] for reading in answer.json["readings"])
    assert ask(process.port, "/v1/read", pictures[0], Content_Type=PNG).texts == [texts[0]]
    assert ask(process.port, "/readyz").json == {"status": "ready"}
    assert process.process.poll() is None


def test_an_address_that_is_taken_is_named(shipped: Reader) -> None:
    from detector.serving.server import serve

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ArgumentError, match=rf"port={port} cannot be listened on .*: give another"):
            serve(detector.create_app(shipped), port=port)
