"""The service over HTTP: what it answers, what it turns away and in which words, who may ask, and what it counts."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

import detector
from detector.errors import ArgumentError
from detector.reading.reader import Reader
from detector.serving.keys import MIN_KEY, Keys, read_keys
from detector.serving.limits import Limits
from detector.serving.schema import ReadAnswer
from tests.builders import bad_files, encoded, noise_picture
from tests.serving.running import ask, multipart, running

PNG = "image/png"
KEY = "k" * MIN_KEY


@pytest.fixture(scope="module")
def port(shipped: Reader) -> Iterator[int]:
    """A service of one model, without keys."""
    with running(detector.create_app({"plates": shipped, "others": shipped})) as port:
        yield port


def parts(pictures: list[bytes]) -> tuple[bytes, str]:
    return multipart(*[("pictures", f"{number}.png", data) for number, data in enumerate(pictures)], boundary="q" * 30)


def test_one_picture_reads_as_the_reader_reads_it(port: int, shipped: Reader, pictures: list[bytes]) -> None:
    answer = ask(port, "/v1/read", pictures[0], Content_Type=PNG)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    wanted = {"image": "picture-1", **shipped.read(pictures[0]).to_dict()}
    assert answer.json == {"model": "plates", "readings": [wanted]}


def test_many_come_back_in_their_order(port: int, pictures: list[bytes], texts: list[str]) -> None:
    body, kind = parts(pictures[:40])
    answer = ask(port, "/v1/read", body, Content_Type=kind)
    assert answer.texts == texts[:40]
    assert [reading["image"] for reading in answer.json["readings"]] == [f"{i}.png" for i in range(40)]
    listed = [{"image": "ü/<b>.png", "data": base64.b64encode(pictures[3]).decode()}]
    answer = ask(port, "/v1/read", json.dumps({"pictures": listed}).encode(), Content_Type="application/json")
    assert answer.texts == [texts[3]]
    assert answer.json["readings"][0]["image"] == "ü/<b>.png"


def test_clients_at_once_get_their_own(port: int, pictures: list[bytes], texts: list[str]) -> None:
    def client(number: int) -> tuple[list[str | None], list[str]]:
        chosen = [(7 * number + k) % len(pictures) for k in range(1 + number % 5)]
        body, kind = parts([pictures[i] for i in chosen])
        return ask(port, "/v1/read", body, Content_Type=kind).texts, [texts[i] for i in chosen]

    with ThreadPoolExecutor(16) as pool:
        for got, wanted in pool.map(client, range(80)):
            assert got == wanted


@pytest.mark.parametrize("data", bad_files().values(), ids=bad_files().keys())
def test_a_bad_picture_has_its_error_and_harms_no_other(
    port: int, pictures: list[bytes], texts: list[str], data: bytes
) -> None:
    body, kind = parts([pictures[0], data, pictures[1]])
    answer = ask(port, "/v1/read", body, Content_Type=kind)
    assert answer.status == 200
    first, bad, last = answer.json["readings"]
    assert (first["text"], last["text"]) == (texts[0], texts[1])
    assert set(bad) == {"image", "error"} and bad["image"] == "1.png" and bad["error"]


def test_answers_are_as_openapi_describes_them(shipped: Reader, pictures: list[bytes]) -> None:
    reader = Reader("shipped", device="cpu", pattern="9999", min_confidence=0.999, alternatives=2)
    body, kind = parts([*pictures[:30], b"junk"])
    with running(detector.create_app(reader)) as port:
        answer = ask(port, "/v1/read", body, Content_Type=kind)
        described = ask(port, "/openapi.json").json
    told = ReadAnswer.model_validate(answer.json)
    assert told.model == "model" and len(told.readings) == 31
    assert {name for reading in answer.json["readings"] for name in reading} == {
        "image", "text", "confidence", "characters", "rejected", "rejected_text", "unconstrained_text",
        "alternatives", "error",
    }, "all of it was seen"  # fmt: skip
    kinds = described["paths"]["/v1/read"]["post"]["requestBody"]["content"]
    assert set(kinds) == {"image/*", "application/octet-stream", "multipart/form-data", "application/json"}
    body_told = described["paths"]["/v1/read"]["post"]["requestBody"]["description"]
    answer_told = described["components"]["schemas"]["PictureAnswer"]["properties"]["image"]["description"]
    assert all("else picture-1, picture-2" in text for text in (body_told, answer_told))
    assert set(described["paths"]) == {"/v1/read", "/v1/models", "/healthz", "/readyz", "/metrics"}


def test_a_model_is_asked_by_its_name(port: int, pictures: list[bytes]) -> None:
    assert ask(port, "/v1/read?model=others", pictures[0], Content_Type=PNG).json["model"] == "others"
    body, kind = multipart(("model", None, b"others"), ("f", "a.png", pictures[0]))
    assert ask(port, "/v1/read", body, Content_Type=kind).json["model"] == "others"
    answer = ask(port, "/v1/read?model=none", pictures[0], Content_Type=PNG)
    assert (answer.status, answer.json["detail"]) == (404, "there is no model 'none': plates, others can be asked.")
    told = ask(port, "/v1/models").json
    assert [model["name"] for model in told["models"]] == ["plates", "others"]
    assert told["models"][0]["symbols"] == "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    assert told["limits"]["max_pictures"] == Limits().max_pictures


TURNED_AWAY: dict[str, tuple[dict[str, float], bytes, str, int, str]] = {
    "another type": ({}, b"x", "text/plain", 415, "not understood"),
    "no picture": ({}, b"", PNG, 400, "no picture"),
    "too many pictures": ({"max_pictures": 2}, *parts([b"x"] * 3), 413, "more than 2 pictures"),
    "too many bytes": ({"max_bytes": 1000, "max_held_bytes": 1000}, b"x" * 1001, PNG, 413, "has 1001 bytes"),
    "no place in the queue": ({"max_queue": 64}, *parts([b"x"] * 64), 200, ""),
}  # fmt: skip


@pytest.mark.parametrize(("limits", "body", "kind", "status", "said"), TURNED_AWAY.values(), ids=TURNED_AWAY.keys())
def test_limits(shipped: Reader, limits: dict[str, float], body: bytes, kind: str, status: int, said: str) -> None:
    with running(detector.create_app(shipped, **limits)) as port:
        answer = ask(port, "/v1/read", body, Content_Type=kind)
        assert answer.status == status
        assert status == 200 or said in answer.json["detail"]
        assert ask(port, "/healthz").status == 200


def test_a_bomb_is_refused_from_its_header(shipped: Reader, pictures: list[bytes], texts: list[str]) -> None:
    flat = noise_picture(8, 8).resize((1, 1)).resize((3000, 3000))  # 9 million pixels in some kilobytes
    bomb = encoded(flat, "PNG")
    assert len(bomb) < 100_000
    body, kind = parts([bomb, pictures[0]])
    with running(detector.create_app(shipped, max_pixels=1_000_000)) as port:
        first, second = ask(port, "/v1/read", body, Content_Type=kind).json["readings"]
    assert first["error"] == "3000x3000: 9 megapixels, and at most 1 are decoded"
    assert second["text"] == texts[0]


def test_only_who_has_a_key_may_ask(shipped: Reader, pictures: list[bytes]) -> None:
    with running(detector.create_app(shipped, keys=["a" * MIN_KEY, KEY])) as port:
        for headers in ({"Authorization": f"Bearer {KEY}"}, {"X_API_Key": KEY}, {"Authorization": f"bearer {KEY}"}):
            assert ask(port, "/v1/read", pictures[0], Content_Type=PNG, **headers).status == 200
        for headers in ({}, {"Authorization": "Bearer "}, {"X_API_Key": KEY[:-1]}, {"Authorization": f"Basic {KEY}"}):
            answer = ask(port, "/v1/read", pictures[0], Content_Type=PNG, **headers)
            assert answer.status == 401 and "API key" in answer.json["detail"]
            assert answer.headers["www-authenticate"] == "Bearer"
        assert ask(port, "/v1/models").status == 401
        for path in ("/", "/docs", "/openapi.json", "/healthz", "/readyz", "/metrics"):
            assert ask(port, path).status == 200, path


UNREAD = {
    "no key": ("/v1/read", {}, 401),
    "too large": ("/v1/read", {"X_API_Key": KEY}, 413),
    "a path": ("/healthz", {}, 405),
}


@pytest.mark.parametrize(("path", "headers", "status"), UNREAD.values(), ids=UNREAD.keys())
def test_who_sends_all_before_it_reads_hears_why_it_is_refused(
    shipped: Reader, path: str, headers: dict[str, str], status: int
) -> None:
    with running(detector.create_app(shipped, keys=[KEY], max_bytes=2_000_000)) as port:
        for closing in ({}, {"Connection": "close"}):  # urllib closes each
            answer = ask(port, path, bytes(10_000_000), Content_Type=PNG, **headers, **closing)
            assert answer.status == status and answer.json["detail"]


def test_keys_hold_below_another_address(shipped: Reader, pictures: list[bytes], texts: list[str]) -> None:
    app, part = (detector.create_app(shipped, keys=[KEY]) for _ in range(2))
    within = Starlette(routes=[Mount("/ocr", part)], lifespan=lambda _: part.router.lifespan_context(part))
    for served, options in ((app, {"root_path": "/ocr"}), (within, {})):
        with running(served, **options) as port:
            start = "" if options else "/ocr"  # a proxy takes it off
            for path in ("/v1/read", "/v1/read?model=model", "//v1/read", "/%76%31/read"):
                status = ask(port, start + path, pictures[0], Content_Type=PNG).status
                assert status == (404 if path.startswith("//") else 401), path
            assert ask(port, f"{start}/v1/models").status == 401
            assert ask(port, f"{start}/v1/read", pictures[0], Content_Type=PNG, X_API_Key=KEY).texts == [texts[0]]
            assert 'requests_total{path="/v1/read",status="200"} 1.0' in ask(port, f"{start}/metrics").body.decode()
            page = ask(port, f"{start}/").body.decode()
            assert 'src="page.js"' in page and "</html>" in page


def test_an_application_may_be_started_again(shipped: Reader, pictures: list[bytes], texts: list[str]) -> None:
    app = detector.create_app(shipped)
    for _ in range(2):
        with running(app) as port:
            assert ask(port, "/v1/read", pictures[0], Content_Type=PNG).texts == [texts[0]]
            assert ask(port, "/readyz").status == 200


def test_a_part_of_an_application_that_was_not_started_says_so(shipped: Reader, pictures: list[bytes]) -> None:
    with running(Starlette(routes=[Mount("/ocr", detector.create_app(shipped))])) as port:
        answer = ask(port, "/ocr/v1/read", pictures[0], Content_Type=PNG)
        assert answer.status == 503 and "must run its lifespan" in answer.json["detail"]
        assert ask(port, "/ocr/readyz").status == 503


def test_keys_come_from_a_file_and_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEYS", f"{'a' * 16},{'b' * 16} {'c' * 16}")
    (tmp_path / "keys").write_text(f"# of the gate\n\n  {'d' * 20}  \n", encoding="utf-8")
    assert read_keys(tmp_path / "keys", "THE_KEYS") == ["a" * 16, "b" * 16, "c" * 16, "d" * 20]
    for editor in ("utf-8-sig", "utf-8"):  # some begin a file with a mark, which is no part of the first key
        (tmp_path / "keys").write_text("e" * 16 + "\n", encoding=editor)
        assert read_keys(tmp_path / "keys", "THE_KEYS")[3:] == ["e" * 16]
    (tmp_path / "keys").write_text("# none yet\n", encoding="utf-8")
    for file, said in ((tmp_path / "keys", "holds no key"), (tmp_path / "none", "cannot be read")):
        with pytest.raises(ArgumentError, match=said):
            read_keys(file, "THE_KEYS")
    for key, said in (("short", "has 5 characters"), ("with a space " * 2, "no space"), ("ключ" * 8, "ASCII")):
        with pytest.raises(ArgumentError, match=said):
            Keys([key])


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/v1/models", "/metrics", "/", "/docs", "/openapi.json"])
def test_head_is_answered_as_get_is_without_a_body(port: int, path: str) -> None:
    got, head = ask(port, path), ask(port, path, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    names = ("content-type", "content-length")
    if path == "/metrics":  # its numbers change
        names = names[:1]
    assert [head.headers[name] for name in names] == [got.headers[name] for name in names]


ELSEWHERE: dict[str, tuple[str, str, int, str]] = {
    "reading by GET": ("GET", "/v1/read", 405, "POST"),
    "reading by PUT": ("PUT", "/v1/read", 405, "POST"),
    "models by POST": ("POST", "/v1/models", 405, "GET"),
    "health by POST": ("POST", "/healthz", 405, "GET"),
    "the page by POST": ("POST", "/", 405, "GET, HEAD"),
    "reading with a slash": ("POST", "/v1/read/", 404, "nothing at '/v1/read/': POST to /v1/read"),
    "models with a slash": ("GET", "/v1/models/", 404, "nothing at '/v1/models/'"),
    "something else": ("DELETE", "/v1/plates", 404, "nothing at '/v1/plates'"),
    "no file of the page": ("GET", "/nothing.js", 404, "Not Found"),
}


@pytest.mark.parametrize(("method", "path", "status", "said"), ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_other_paths_and_methods(port: int, method: str, path: str, status: int, said: str) -> None:
    answer = ask(port, path, method=method)
    assert answer.status == status
    assert said in (answer.headers["allow"] if status == 405 else answer.json["detail"])


def test_every_answer_has_an_id_and_safe_headers(port: int) -> None:
    own = ask(port, "/healthz", X_Request_ID="order-17").headers["x-request-id"]
    new = [ask(port, "/healthz", X_Request_ID=sent).headers["x-request-id"] for sent in ("a b", "x" * 65, "{}")]
    assert own == "order-17"
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in new) and len(set(new)) == 3
    for path in ("/", "/docs", "/v1/models", "/nothing"):
        headers = ask(port, path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-cache"


def test_what_is_counted(shipped: Reader, pictures: list[bytes]) -> None:
    body, kind = parts([*pictures[:5], b"junk"])
    with running(detector.create_app({"plates": shipped}, max_pictures=6)) as port:
        assert ask(port, "/v1/read", body, Content_Type=kind).status == 200
        assert ask(port, "/v1/read", b"x", Content_Type="text/plain").status == 415
        assert ask(port, "/x/../hostile").status == 404
        told = ask(port, "/metrics").body.decode()
    for line in (
        'detector_requests_total{path="/v1/read",status="200"} 1.0',
        'detector_requests_total{path="/v1/read",status="415"} 1.0',
        'detector_requests_total{path="other",status="404"} 1.0',
        'detector_pictures_total{model="plates",outcome="read"} 5.0',
        'detector_pictures_total{model="plates",outcome="failed"} 1.0',
        'detector_requests_turned_away_total{reason="bad body"} 1.0',
        'detector_batch_pictures_sum{model="plates"} 6.0',
        'detector_queue_pictures{model="plates"} 0.0',
        "detector_held_bytes 0.0",
    ):
        assert line in told.splitlines()
    assert "hostile" not in told


def test_a_fault_is_told_with_its_id_and_not_with_its_words(
    shipped: Reader, pictures: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = detector.create_app(shipped)
    monkeypatch.setattr(app.state.service, "_json", lambda *_: 1 / 0)
    with running(app) as port:
        answer = ask(port, "/v1/read", pictures[0], Content_Type=PNG)
        assert ask(port, "/healthz").status == 200
    assert answer.status == 500
    assert answer.headers["x-request-id"] in answer.json["detail"] and "division" not in answer.json["detail"]


def test_services_that_make_no_sense(shipped: Reader) -> None:
    for models, said in (({}, "no model to serve"), ({"a/b": shipped}, "'a/b' cannot name a model")):
        with pytest.raises(ArgumentError, match=said):
            detector.create_app(models)
    for limits, said in (
        ({"max_pictures": 0}, r"max_pictures=0: it must be above 0"),
        ({"max_pictures": 600}, r"max_queue=512 has no place for a request of max_pictures=600"),
        ({"max_bytes": 10**9}, r"max_held_bytes=256000000 has no place for a request of max_bytes=1000000000"),
    ):
        with pytest.raises(ArgumentError, match=said):
            detector.create_app(shipped, **limits)
