"""The page in a real browser: one picture, a folder, names that would be code, keys, and nothing from elsewhere."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import SIZES, opened
from tests.serving.running import Process

KEY = "the-key-of-this-test"
HOSTILE = "=1+1 <img src=x onerror=alert(1)>.png"


@pytest.fixture(scope="module")
def process() -> Iterator[Process]:
    with Process("plates=shipped", "others=shipped") as process:
        yield process


@pytest.fixture(params=SIZES.values(), ids=SIZES.keys())
def page(request: pytest.FixtureRequest, browser: Any, process: Process) -> Iterator[Any]:
    with opened(browser, f"http://127.0.0.1:{process.port}/", request.param, accept_downloads=True) as page:
        yield page


def test_one_picture_is_shown_with_its_boxes(
    page: Any, tmp_path: Path, pictures: list[bytes], texts: list[str]
) -> None:
    (tmp_path / "one.png").write_bytes(pictures[0])
    assert page.get_by_role("status").count() == 1, "screen readers read out what comes into what was there before"
    page.set_input_files("#files", tmp_path / "one.png")
    page.wait_for_selector("#frame svg")
    assert page.text_content("#result-text") == texts[0]
    assert page.text_content("#status") == f"Read {texts[0]}"
    assert page.locator("#frame rect.box").count() == len(texts[0]) == page.locator("#characters tbody tr").count()
    assert page.get_attribute("#frame svg", "aria-label") == f"The picture; it reads {' '.join(texts[0])}"
    assert page.locator("#model option").all_inner_texts() == ["plates", "others"]
    assert not page.locator("#model-name").is_visible()
    page.uncheck("#boxes")
    assert not page.locator("#frame rect.box").first.is_visible()


def test_a_picture_is_pasted(page: Any, pictures: list[bytes], texts: list[str]) -> None:
    page.evaluate(
        """bytes => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], "", { type: "image/png" }));
          dispatchEvent(new ClipboardEvent("paste", { clipboardData: data }));
        }""",
        list(pictures[1]),
    )
    page.wait_for_selector("#frame svg")
    assert page.text_content("#result-text") == texts[1]


def test_a_folder_is_a_table_and_a_csv(page: Any, tmp_path: Path, pictures: list[bytes], texts: list[str]) -> None:
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    for number in range(39):  # more than a request takes
        (folder / "deep" / f"{number}.png").write_bytes(pictures[number])
    (folder / HOSTILE).write_bytes(pictures[39])
    (folder / "bad.png").write_bytes(b"junk")
    (folder / "notes.txt").write_text("no picture")
    page.set_input_files("#folder", folder)
    page.wait_for_selector("#save:enabled")
    rows = [row.split("\t") for row in page.locator("#table tbody").inner_text().splitlines() if "\t" in row]
    wanted = {HOSTILE: texts[39], **{f"deep/{number}.png": texts[number] for number in range(39)}}
    assert page.locator("#table tbody tr").count() == 41 and len(rows) >= 40
    assert page.locator("main img").count() == 0, "a name is a text"
    assert page.get_by_text("not an image").count() == 1
    assert page.text_content("#status") == "40 of 41 pictures were read, 1 could not be"
    with page.expect_download() as download:
        page.click("#save")
    with Path(download.value.path()).open(encoding="utf-8-sig", newline="") as file:
        saved = list(csv.DictReader(file))
    assert [row["image"] for row in saved][:2] == ["'" + HOSTILE, "bad.png"], "a table program runs no name"
    assert {row["image"].lstrip("'"): row["text"] for row in saved if not row["error"]} == wanted
    page.get_by_role("button", name="deep/7.png", exact=True).click()
    page.wait_for_selector("#frame svg")
    assert page.text_content("#result-text") == texts[7]
    assert page.text_content("#status") == f"deep/7.png: Read {texts[7]}"


def test_what_is_no_picture_is_said(page: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"junk")
    page.set_input_files("#files", tmp_path / "bad.png")
    page.wait_for_selector("#frame p")
    assert page.text_content("#result-text") == "Not a picture that can be read"
    assert "not an image" in page.text_content("#result-more")


@pytest.fixture
def bare(browser: Any, process: Process) -> Iterator[Any]:
    """The page where the browser may complain of what fails."""
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{process.port}/")
    page.wait_for_selector("#model-choice:visible")
    yield page
    page.close()


def test_a_service_that_is_gone_is_told_and_asked_again(
    bare: Any, tmp_path: Path, pictures: list[bytes], texts: list[str]
) -> None:
    for number in range(2):
        (tmp_path / f"{number}.png").write_bytes(pictures[number])
    for path in ("**/v1/read*", "**/healthz"):
        bare.route(path, lambda route: route.abort())
    told = "The service does not answer: is detector serve still running?"
    bare.set_input_files("#files", tmp_path / "0.png")
    bare.wait_for_selector("#problem:visible")
    assert bare.text_content("#problem") == told and bare.text_content("#status") == ""
    bare.set_input_files("#folder", tmp_path)
    bare.wait_for_selector("#many:visible")
    bare.wait_for_selector("#problem:visible")
    assert bare.text_content("#problem") == told and bare.text_content("#count") == "0 of 2"
    assert bare.locator("#stop").is_hidden() and bare.locator("#save").is_disabled()
    bare.unroute_all()
    bare.set_input_files("#folder", tmp_path)
    bare.wait_for_selector("#save:enabled")
    assert bare.locator("#table .text").all_inner_texts() == texts[:2]
    assert bare.locator("#problem").is_hidden()


def test_a_file_that_is_gone_harms_no_other(bare: Any, tmp_path: Path, pictures: list[bytes], texts: list[str]) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(pictures[number])

    def read(route: Any) -> None:
        (tmp_path / "1.png").unlink(missing_ok=True)
        route.continue_()

    bare.route("**/v1/read*", read)
    bare.set_input_files("#files", [tmp_path / f"{number}.png" for number in range(3)])
    bare.wait_for_selector("#save:enabled")
    assert bare.locator("#table .text").all_inner_texts() == [texts[0], "", texts[2]]
    assert "could not be sent" in bare.locator("#table .error").inner_text()


def test_stopping_keeps_what_was_read(bare: Any, tmp_path: Path, pictures: list[bytes]) -> None:
    for number in range(40):
        (tmp_path / f"{number}.png").write_bytes(pictures[number])
    asked: list[Any] = []

    def read(route: Any) -> None:
        asked.append(route)
        if len(asked) == 1:
            route.continue_()  # and no other one

    bare.route("**/v1/read*", read)
    bare.set_input_files("#folder", tmp_path)
    bare.wait_for_function("() => document.getElementById('count').textContent === '16 of 40'")
    bare.click("#stop")
    bare.wait_for_selector("#save:focus")
    assert bare.text_content("#status") == "Stopped: 16 of 40 pictures were read"
    assert bare.locator("#table tbody tr").count() == 16
    for route in asked[1:]:
        route.abort()


def test_the_picture_asked_for_last_is_shown(
    bare: Any, tmp_path: Path, pictures: list[bytes], texts: list[str]
) -> None:
    for number in range(2):
        (tmp_path / f"{number}.png").write_bytes(pictures[number])
    asked: list[Any] = []
    failed: list[Any] = []
    bare.on("requestfailed", lambda request: failed.append(request))
    bare.route("**/v1/read*", lambda route: asked.append(route) if not asked else route.continue_())
    with bare.expect_request("**/v1/read*"):
        bare.set_input_files("#files", tmp_path / "0.png")
    bare.set_input_files("#files", tmp_path / "1.png")
    bare.wait_for_selector("#frame svg")
    assert bare.text_content("#result-text") == texts[1] and len(failed) == 1
    asked[0].abort()


def test_a_folder_that_cannot_be_gone_through_is_told(bare: Any) -> None:
    bare.evaluate(
        """() => {
          const reader = { readEntries: (read, fail) => fail(new Error("denied")) };
          const folder = { isDirectory: true, isFile: false, name: "folder", createReader: () => reader };
          const drop = new Event("drop", { cancelable: true });
          drop.dataTransfer = { items: [{ webkitGetAsEntry: () => folder }], files: [] };
          dispatchEvent(drop);
        }"""
    )
    bare.wait_for_selector("#problem:visible")
    assert bare.text_content("#problem") == "What was dropped cannot be read: denied"


def test_a_key_is_asked_for(browser: Any, tmp_path: Path, pictures: list[bytes], texts: list[str]) -> None:
    (tmp_path / "one.png").write_bytes(pictures[0])
    with Process("shipped", DETECTOR_API_KEYS=KEY) as process:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{process.port}/")
        page.wait_for_selector("#key:focus")
        page.set_input_files("#files", tmp_path / "one.png")
        page.fill("#key", "a-wrong-one-of-this-test")
        page.keyboard.press("Enter")
        page.wait_for_selector("#problem:visible")
        page.fill("#key", KEY)
        page.keyboard.press("Enter")
        page.wait_for_selector("#frame svg")
        assert page.text_content("#result-text") == texts[0]
        assert not page.locator("#key-form").is_visible()
        assert page.inner_text("#model-name") == "Model shipped"
        assert not page.locator("#model-choice").is_visible()
        page.close()


def test_the_api_is_described(page: Any, process: Process) -> None:
    page.goto(f"http://127.0.0.1:{process.port}/docs")
    page.wait_for_selector("article")
    headings = page.locator("article h2").all_inner_texts()
    assert any("/v1/read" in text for text in headings) and any("/metrics" in text for text in headings)
    assert "PictureAnswer" in page.text_content("main")
