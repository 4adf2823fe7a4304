"""Who is answered, with what headers, and what an answer may hold: over HTTP, without a browser."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from detector.errors import ArgumentError
from detector.review.answers import PAGE
from detector.review.items import Item
from detector.review.opening import open_subject
from detector.review.server import ReviewServer
from detector.review.session import ReviewSession
from tests.builders import bad_files
from tests.review.builders import Client, decisions, serve, small_set, suspects

HOSTILE = '<img src=x onerror="document.title=1">.png'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return small_set(tmp_path / "set", suspects(3))


@pytest.fixture
def client(root: Path) -> Iterator[Client]:
    with serve(root).serving() as server:
        yield Client(server)


STRANGERS: dict[str, dict[str, str]] = {
    "a name that was bound to this address": {"Host": "attacker.example"},
    "the same with the port": {"Host": "attacker.example:{port}"},
    "another port": {"Host": "127.0.0.1:1"},
    "no port": {"Host": "127.0.0.1"},
    "all addresses": {"Host": "0.0.0.0:{port}"},
    "another page": {"Origin": "http://attacker.example"},
    "a page on another port": {"Origin": "http://127.0.0.1:1"},
    "a page of the other name": {"Origin": "http://localhost:{port}"},
    "a page over TLS": {"Origin": "https://127.0.0.1:{port}"},
    "a page without an origin of its own": {"Origin": "null"},
    "a picture in another page": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image"},
    "a frame in another page": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe"},
}


@pytest.mark.parametrize("headers", STRANGERS.values(), ids=STRANGERS.keys())
def test_strangers_get_nothing(client: Client, headers: dict[str, str], root: Path) -> None:
    sent = {name: value.format(port=client.host.split(":")[1]) for name, value in headers.items()}
    item = client.items()[0]
    for reply in (client.get("items", sent), client.get("", sent), client.get(f"picture/{item['key']}", sent)):
        assert (reply.status, b"AB0" in reply.body) == (403, False)
    refused = client.post("decide", {"key": item["key"], "version": 0, "decision": "drop"}, sent)
    assert refused.status == 403 and decisions(root)[item["name"]] == ("", "")


def test_a_decision_says_which_page_it_is_from(client: Client, root: Path) -> None:
    item = client.items()[0]
    body = f'{{"key": "{item["key"]}", "version": 0, "decision": "drop"}}'
    for headers in ({"Content-Type": "application/json"}, {"Origin": f"http://{client.host}"}):
        assert client.ask("POST", f"/{client.token}/decide", headers, body).status in (403, 422)
    plain = {"Origin": f"http://{client.host}", "Content-Type": "text/plain"}
    assert client.ask("POST", f"/{client.token}/decide", plain, body).status == 422
    assert {decided for decided, _ in decisions(root).values()} == {""}


@pytest.mark.parametrize("token", ["", "x", "%C3%A9", "..", "%2e%2e", "a" * 43])
def test_a_token_that_was_not_printed(client: Client, token: str) -> None:
    reply = client.ask("GET", f"/{token}/items", {})
    assert reply.status == 403 and b"AB0" not in reply.body
    assert client.ask("GET", "/", {}).status == 403


def test_tokens_are_random_and_long(root: Path, tmp_path: Path) -> None:
    tokens = set()
    for _ in range(3):
        with serve(root).serving() as server:
            tokens.add(Client(server).token)
    assert len(tokens) == 3 and all(len(token) >= 43 for token in tokens)


def test_the_other_name_of_this_machine_and_a_link_are_taken(client: Client) -> None:
    port = client.host.split(":")[1]
    assert client.get("items", {"Host": f"localhost:{port}"}).status == 200
    assert client.get("", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}).status == 200


def test_only_the_loopback_address_listens(root: Path) -> None:
    with serve(root).serving() as server:
        assert server.url.startswith(f"http://127.0.0.1:{server.port}/")
        assert server._http.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize("name", ["", "app.js", "style.css", "items", "nothing", "picture/nothing"])
def test_every_answer_tells_the_browser_to_run_nothing_else(client: Client, name: str) -> None:
    for reply in (client.get(name), client.get(name, token="wrong")):
        policy = reply.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http:" not in policy
        assert "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Referrer-Policy"] == "no-referrer"
        assert reply.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_the_page_needs_nothing_inline_and_nobody_else() -> None:
    html = (PAGE / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:", html)
    assert re.findall(r"<script[^>]*>(.*?)</script>", html, re.DOTALL) == [""]
    for path in PAGE.iterdir():
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r"(?:https?:)?//[\w.]+\.\w+", text)) <= {"http://www.w3.org", "//www.w3.org"}, path


def test_no_script_makes_elements_of_text() -> None:
    for path in PAGE.glob("*.js"):
        text = path.read_text(encoding="utf-8")
        found = re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|srcdoc", text)
        assert not found, path


def test_the_page_and_its_modules_are_all_there(client: Client) -> None:
    html = client.get("").body.decode()
    wanted = set(re.findall(r'(?:src|href)="([^"]+)"', html))
    for path in PAGE.glob("*.js"):
        wanted |= set(re.findall(r'from "\./([^"]+)"', path.read_text(encoding="utf-8")))
    kinds = {name: client.get(name).headers["Content-Type"].split(";")[0] for name in wanted}
    assert kinds["app.js"] == "text/javascript" and kinds["style.css"] == "text/css" and len(kinds) >= 7
    assert all(client.get(name).status == 200 for name in wanted)


@pytest.mark.parametrize(
    "name", ["../sets.py", "..%2fsets.py", "__init__.py", "page/index.html", "//etc/passwd", "a" * 5000]
)
def test_no_other_file_is_served(client: Client, name: str) -> None:
    assert client.get(name).status == 404


def test_items_are_those_of_the_set(client: Client, tmp_path: Path) -> None:
    answer = client.get("items").json
    assert (answer["kind"], answer["title"], answer["space"]) == ("set", tmp_path.name, " ")
    first = answer["items"][0]
    assert (first["name"], first["text"], first["read"]) == ("plates/00000.png", "AB00000C", "AB00000D")
    detail = client.get(f"item/{first['key']}").json
    assert detail["size_wh"] == [60, 20] and detail["shows"] == "label" and not detail["problem"]
    assert "".join(box["symbol"] for box in detail["boxes"]) == "AB00000C"
    assert [differs for _, differs in detail["text"]] == [False] * 7 + [True] == [d for _, d in detail["read"]]
    assert [symbol for symbol, _ in detail["read"]] == [*"AB00000D"]


def test_a_decision_while_the_list_is_asked_for_is_told(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = ReviewSession.items

    def items(session: ReviewSession) -> list[Item]:
        before = listed(session)
        session.decide(before[0].key, before[0].version, "drop")  # in another window, once the list is made
        return before

    monkeypatch.setattr(ReviewSession, "items", items)
    answer = client.get("items").json
    told = client.get(f"changes/{answer['number']}").json["items"]
    assert [item["decision"] for item in (answer["items"][0], *told)] == ["", "drop"]


def test_pictures_are_encoded_anew(client: Client) -> None:
    key = client.items()[0]["key"]
    for name in ("picture", "thumbnail"):
        reply = client.get(f"{name}/{key}")
        assert reply.status == 200 and reply.headers["Content-Type"] == "image/webp"
        assert reply.body[:4] == b"RIFF" and reply.body[8:12] == b"WEBP"


@pytest.mark.parametrize("data", bad_files().values(), ids=bad_files().keys())
def test_a_picture_that_is_none_is_told_and_can_be_decided_on(tmp_path: Path, data: bytes) -> None:
    root = small_set(tmp_path / "set", suspects(1))
    (root / "images/suspects/00000.png").write_bytes(data)
    with serve(root).serving() as server:
        client = Client(server)
        (item,) = client.items()
        detail = client.get(f"item/{item['key']}").json
        if detail["problem"]:
            assert client.get(f"picture/{item['key']}").status == 404
        assert client.decide(item, "drop").status == 200
    assert decisions(root) == {item["name"]: ("drop", "")}


def test_hostile_names_and_labels_travel_as_json(tmp_path: Path) -> None:
    listed = suspects(1)
    hostile = listed[0]._replace(source=HOSTILE, text="<B>", read="</B>")
    root = small_set(tmp_path / "set", [hostile], symbols="</>AB1")
    with serve(root).serving() as server:
        client = Client(server)
        reply = client.get("items")
        assert reply.headers["Content-Type"] == "application/json"
        (item,) = reply.json["items"]
        assert (item["name"], item["text"]) == (HOSTILE, "<B>")
        assert re.fullmatch(r"[0-9a-f]{20}", item["key"]), "addresses hold nothing of a name"
        assert client.decide(item, "correct", "<A>").status == 200
    assert decisions(root) == {HOSTILE: ("correct", "<A>")}


WRONG: dict[str, Any] = {
    "no such picture": ({"key": "0" * 20, "version": 0, "decision": "drop"}, "no such picture"),
    "no such decision": ({"version": 0, "decision": "burn"}, "none of accept, correct, drop"),
    "an empty label": ({"version": 0, "decision": "correct", "corrected": "  "}, "empty label"),
    "a label of other symbols": ({"version": 0, "decision": "correct", "corrected": "AB?"}, "not in the alphabet"),
    "a label that is too long": ({"version": 0, "decision": "correct", "corrected": "A" * 9}, "more than 8"),
    "an unseen character": ({"version": 0, "decision": "correct", "corrected": "A\u202eB"}, "not seen"),
    "no version": ({"decision": "drop"}, "version"),
    "a version of another kind": ({"version": True, "decision": "drop"}, "version"),
    "a key of another kind": ({"key": [], "version": 0, "decision": "drop"}, "key"),
    "a decision of another kind": ({"version": 0, "decision": {}}, "texts"),
    "no object": ([], "no JSON object"),
}


@pytest.mark.parametrize(("given", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_is_no_decision_is_refused_in_words(client: Client, root: Path, given: Any, said: str) -> None:
    before = (root / "review.csv").read_bytes()
    if isinstance(given, dict):
        given = {"key": client.items()[0]["key"]} | given
    reply = client.post("decide", given)
    assert reply.status == 422 and said in reply.json["error"]
    assert (root / "review.csv").read_bytes() == before


def test_a_body_that_is_no_json(client: Client) -> None:
    usual = {"Origin": f"http://{client.host}", "Content-Type": "application/json"}
    for body in ("", "{", "[" * 60_000, "\x00"):
        reply = client.ask("POST", f"/{client.token}/decide", usual, body)
        assert (reply.status, reply.json) == (422, {"error": "This request is no JSON."})


@pytest.mark.parametrize(("length", "status"), [(str(1 << 40), 413), ("9" * 5000, 413), ("-1", 411), (None, 411)])
def test_a_large_or_endless_body_ends_the_connection(client: Client, length: str | None, status: int) -> None:
    usual = {"Origin": f"http://{client.host}", "Content-Type": "application/json"}
    told = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": length}
    reply = client.ask("POST", f"/{client.token}/decide", usual | told, None if length is None else "")
    assert (reply.status, reply.headers["Connection"]) == (status, "close")


def test_other_methods_are_not_known(client: Client) -> None:
    for method in ("PUT", "DELETE", "OPTIONS", "HEAD"):
        assert client.ask(method, f"/{client.token}/items", {}).status == 501


def test_a_port_that_is_taken(root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ArgumentError, match="choose another"):
        ReviewServer(open_subject(root), taken.getsockname()[1])


def test_the_command_prints_the_address_and_ends_with_ctrl_c(root: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "detector", "review", str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # which may be ignored here
    )
    assert process.stdout is not None
    with process:
        url = process.stdout.readline().strip()
        with urllib.request.urlopen(f"{url}items", timeout=600) as answer:
            assert len(json.load(answer)["items"]) == 3
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=600)
    assert process.returncode == 0, said
    assert "0 decided, 3 to decide on" in said and "Traceback" not in said
