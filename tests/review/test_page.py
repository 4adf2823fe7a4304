"""The page in a real browser: a review by keyboard, names that would be code, two windows, ten thousand pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from detector.conversion.review import write_rows
from detector.data.labels.prelabels import Prelabel, write_prelabels
from detector.errors import DetectorError
from detector.review import reconversion
from tests.browser import SIZES, opened
from tests.builders import write_pictures
from tests.review.builders import Suspect, decisions, review_rows, serve, small_set, suspects

SCREEN = SIZES["screen"]
HOSTILE = '<img src=x onerror="document.title=1">'


@pytest.fixture(params=SIZES.values(), ids=SIZES.keys())
def size_wh(request: pytest.FixtureRequest) -> tuple[int, int]:
    size: tuple[int, int] = request.param
    return size


def at(page: Any, place: int) -> None:
    """Wait until the picture of this place is there, to be decided on."""
    page.wait_for_selector(f'body[data-at="{place}"]')


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_thirty_suspects_by_keyboard_alone(browser: Any, tmp_path: Path, size_wh: tuple[int, int]) -> None:
    listed = suspects(30)
    root = small_set(tmp_path / "set", listed)
    wanted: dict[str, tuple[str, str]] = {}
    with serve(root).serving() as server, opened(browser, server.url, size_wh) as page:
        for number, suspect in enumerate(listed):
            at(page, number)
            assert page.locator("#place").inner_text() == f"{number + 1} of 30"
            assert page.locator("#label").input_value() == suspect.text
            assert page.locator("#reading mark").all_inner_texts() == ["D"]
            kind = number % 5
            if kind == 0:
                press(page, "Enter")
                wanted[suspect.source] = ("accept", "")
            elif kind == 1:
                press(page, "r")
                wanted[suspect.source] = ("correct", suspect.read)
            elif kind == 2:
                press(page, "Delete")
                wanted[suspect.source] = ("drop", "")
            elif kind == 3:  # typing replaces the label
                press(page, *"XY9", "Enter")
                wanted[suspect.source] = ("correct", "XY9")
            else:  # Tab goes into the field, to change a part of it, or to begin with a letter that is a command
                press(page, "Tab", "End", "Backspace", *"Z", "Home", *"B", "Delete", "Enter")
                wanted[suspect.source] = ("correct", f"B{suspect.text[1:-1]}Z")
        page.wait_for_selector("#end[open]")
        assert "30 of 30 pictures decided" in page.locator("#end-said").inner_text()
        assert decisions(root) == wanted
        press(page, "Escape")
        press(page, "Control+z")
        page.wait_for_function("() => document.getElementById('counted').textContent.startsWith('29 of')")
        assert decisions(root)[listed[29].source] == ("", "")
        assert page.locator("#verdict").inner_text() == ""


def test_each_decision_is_on_disk_before_the_next_picture(browser: Any, tmp_path: Path) -> None:
    root = small_set(tmp_path / "set", suspects(4))
    names = [suspect.source for suspect in suspects(4)]
    with serve(root).serving() as server, opened(browser, server.url, SCREEN) as page:
        for number in range(3):
            at(page, number)
            press(page, "Enter")
            at(page, number + 1)
            decided = decisions(root)
            assert [bool(decided[name][0]) for name in names] == [place <= number for place in range(4)]


def test_keys_that_decide_nothing(browser: Any, tmp_path: Path) -> None:
    root = small_set(tmp_path / "set", suspects(30))
    before = (root / "review.csv").read_bytes()
    with serve(root).serving() as server, opened(browser, server.url, SCREEN) as page:
        at(page, 0)
        for key, place in (("ArrowRight", 1), ("ArrowDown", 2), ("ArrowLeft", 1), ("ArrowUp", 0), ("PageDown", 10),
                           ("PageUp", 0), ("End", 29), ("Home", 0)):  # fmt: skip
            press(page, key)
            at(page, place)
        boxes = page.locator("#canvas rect.even, #canvas rect.odd, #canvas rect.differs")
        assert boxes.count() == 16  # of 8 characters, each with the ground of its symbol
        assert page.locator("#canvas rect.differs").count() == 2
        press(page, "b")
        assert boxes.count() == 0 and page.locator("#boxes").get_attribute("aria-pressed") == "false"
        press(page, "b")
        assert page.locator("#boxes").get_attribute("aria-disabled") == "false"
        width = page.locator("#canvas svg").bounding_box()["width"]
        for times in (2, 4, 1):
            press(page, "z")
            assert round(page.locator("#canvas svg").bounding_box()["width"] / width) == times
        press(page, "Tab", "b")
        assert page.locator("#label").input_value() == "b", "in the field it is a letter"
        press(page, "Alt+b")
        assert boxes.count() == 0
        press(page, "Escape")
        assert page.locator("#label").input_value() == suspects(1)[0].text
        press(page, "?")
        page.wait_for_selector("#help[open]")
        press(page, "Enter")
        page.wait_for_selector("#help", state="hidden")
    assert (root / "review.csv").read_bytes() == before


def test_what_was_typed_waits_for_its_picture(browser: Any, tmp_path: Path) -> None:
    root = small_set(tmp_path / "set", suspects(3))
    with serve(root).serving() as server, opened(browser, server.url, SCREEN) as page:
        at(page, 0)
        press(page, *"XY", "ArrowDown")
        at(page, 1)
        assert page.locator("#label").input_value() == suspects(2)[1].text
        press(page, "ArrowUp")
        at(page, 0)
        assert page.locator("#label").input_value() == "XY"
    assert decisions(root)[suspects(1)[0].source] == ("", "")


def test_a_label_that_cannot_be_is_refused_in_words(browser: Any, tmp_path: Path) -> None:
    root = small_set(tmp_path / "set", suspects(2))
    with serve(root).serving() as server:
        context = browser.new_context()
        page = context.new_page()
        page.goto(server.url)
        at(page, 0)
        press(page, *"X?Y", "Enter")
        page.wait_for_function("() => document.getElementById('said').textContent.includes('not in the alphabet')")
        assert page.locator("#place").inner_text() == "1 of 2" and page.locator("#label").input_value() == "X?Y"
        context.close()
    assert decisions(root)[suspects(1)[0].source] == ("", "")


def test_spaces_are_seen_and_stay(browser: Any, tmp_path: Path) -> None:
    root = small_set(tmp_path / "set", [Suspect("a.png", " A 1", "A7"), Suspect("b.png", "A 1", "A7")])
    with serve(root).serving() as server, opened(browser, server.url, SCREEN) as page:
        at(page, 0)
        assert page.locator("#strip b").all_inner_texts() == ["␣A␣1", "A␣1"]
        assert page.locator("#canvas rect.differs").count() == 2, "of the one symbol that differs"
        press(page, "Enter")
        at(page, 1)
        press(page, "Tab", "End", "ArrowLeft", *" 2", "Enter")
        page.wait_for_selector("#end[open]")
    assert decisions(root) == {"a.png": ("accept", ""), "b.png": ("correct", "A  21")}


def test_hostile_labels_and_names_are_text(browser: Any, tmp_path: Path, size_wh: tuple[int, int]) -> None:
    root = small_set(tmp_path / HOSTILE.replace("/", ""), [Suspect(f"{HOSTILE}.png", "<B>&", "<A>"), *suspects(1)],
                     symbols="</>&ABCD0123456789")  # fmt: skip
    rows = review_rows(root / "review.csv")
    gone = rows[0]._replace(source=f"gone/{HOSTILE}", text=HOSTILE, read='"><script>document.title=1</script>')
    write_rows(root / "review.csv", [rows[0], gone, *rows[1:]])
    with serve(root).serving() as server, opened(browser, server.url, size_wh) as page:
        at(page, 0)
        assert page.locator("#title").inner_text() == HOSTILE
        assert page.locator("#file").inner_text() == f"{HOSTILE}.png"
        assert page.locator("#label").input_value() == "<B>&" and page.locator("#reading").inner_text() == "<A>"
        assert [text.strip() for text in page.locator("#canvas text").all_text_contents()] == [*"<B>&"]
        press(page, "ArrowRight")
        at(page, 1)
        assert page.locator("#label").input_value() == HOSTILE
        assert page.locator("#reading").inner_text() == '"><script>document.title=1</script>'
        assert "not in the set" in page.locator("#problem").inner_text()
        assert page.locator("#strip b").all_inner_texts()[1] == HOSTILE.replace(" ", "␣")
        press(page, *"<A>", "Enter")
        at(page, 2)
        assert page.locator("script, img:not(.cell img)").count() == 1
        assert page.title() == f"{HOSTILE} · detector review"
    assert decisions(root)[f"gone/{HOSTILE}"] == ("correct", "<A>")


def test_two_windows_lose_nothing(browser: Any, tmp_path: Path) -> None:
    listed = suspects(6)
    root = small_set(tmp_path / "set", listed)
    with (
        serve(root).serving() as server,
        opened(browser, server.url, SCREEN) as one,
        opened(browser, server.url, SCREEN) as other,
    ):
        at(one, 0)
        at(other, 0)
        press(one, "Enter")
        at(one, 1)
        other.wait_for_function("() => document.getElementById('counted').textContent.startsWith('1 of')")
        assert other.locator("#verdict").inner_text() == "accepted"
        for step in range(2):  # at once, from both ends
            press(other, "End", *["ArrowUp"] * step)
            at(other, 5 - step)
            press(one, "Delete")
            press(other, "Enter")
            at(one, 2 + step)
            other.wait_for_selector(f'body:not([data-at="{5 - step}"]):not([data-at=""])')
        one.wait_for_function("() => document.getElementById('counted').textContent.startsWith('5 of')")
        other.wait_for_function("() => document.getElementById('counted').textContent.startsWith('5 of')")
    decided = [decision for decision, _ in decisions(root).values()]
    assert decided[0] == "accept" and decided.count("drop") == 2 and decided.count("accept") == 3


def test_a_decision_of_another_window_is_shown_and_not_replaced_unseen(browser: Any, tmp_path: Path) -> None:
    (suspect, *_) = listed = suspects(2)
    root = small_set(tmp_path / "set", listed)
    with serve(root).serving() as server:
        context = browser.new_context()
        page = context.new_page()
        page.goto(server.url)
        at(page, 0)
        page.evaluate("() => Object.defineProperty(document, 'visibilityState', { value: 'hidden' })")  # asks no more
        item = server.answers.session.items()[0]
        server.answers.session.decide(item.key, item.version, "correct", "XY")
        press(page, "Delete")
        page.wait_for_function("() => document.getElementById('said').textContent.includes('Another window')")
        assert decisions(root)[suspect.source] == ("correct", "XY")
        assert page.locator("#verdict").inner_text() == "corrected" and page.locator("#label").input_value() == "XY"
        press(page, "Delete")
        at(page, 1)
        assert decisions(root)[suspect.source] == ("drop", "")
        context.close()


@pytest.mark.parametrize("is_shown", [True, False], ids=["shown", "not shown yet"])
def test_undo_does_not_replace_a_decision_of_another_window(browser: Any, tmp_path: Path, is_shown: bool) -> None:
    (suspect, other, *_) = listed = suspects(3)
    root = small_set(tmp_path / "set", listed)
    with serve(root).serving() as server:
        context = browser.new_context()
        page = context.new_page()
        page.goto(server.url)
        at(page, 0)
        press(page, "Enter")
        at(page, 1)
        if not is_shown:
            page.evaluate("() => Object.defineProperty(document, 'visibilityState', { value: 'hidden' })")
        item = server.answers.session.items()[0]
        server.answers.session.decide(item.key, item.version, "correct", "XY")
        if is_shown:
            page.wait_for_selector("#cell-0.correct")
        assert page.locator("#label").input_value() == other.text
        press(page, "Control+z")
        at(page, 0)
        assert "Another window has corrected" in page.locator("#said").inner_text()
        assert page.locator("#label").input_value() == "XY" and page.locator("#undo").is_disabled()
        context.close()
    assert decisions(root)[suspect.source] == ("correct", "XY")


def test_undo_goes_back_step_by_step_and_can_be_tried_again(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (suspect, *_) = listed = suspects(2)
    root = small_set(tmp_path / "set", listed)
    with serve(root).serving() as server:
        context = browser.new_context()
        page = context.new_page()
        page.goto(server.url)
        at(page, 0)
        press(page, "Enter")
        at(page, 1)
        press(page, "ArrowLeft")
        at(page, 0)
        press(page, "Delete")
        at(page, 1)

        def refuse(item: Any) -> bool:
            raise DetectorError("The disk is full.")

        with monkeypatch.context() as failing:
            failing.setattr(server.answers.subject, "save", refuse)
            press(page, "Control+z")
            page.wait_for_function("() => document.getElementById('said').textContent === 'The disk is full.'")
        for decision in ("accept", ""):
            press(page, "Control+z")
            at(page, 0)
            assert decisions(root)[suspect.source] == (decision, "")
            press(page, "ArrowRight")
            at(page, 1)
        context.close()


def test_a_server_that_does_not_answer_is_told_and_asked_again(browser: Any, tmp_path: Path) -> None:
    root = small_set(tmp_path / "set", suspects(2))
    with serve(root).serving() as server:
        context = browser.new_context()
        page = context.new_page()
        page.goto(server.url)
        at(page, 0)
        page.route("**/decide", lambda route: route.abort())
        press(page, "Enter")
        page.wait_for_function("() => document.getElementById('said').textContent.includes('may not be done')")
        assert page.locator("#place").inner_text() == "1 of 2"
        page.route("**/item/*", lambda route: route.abort())
        press(page, "ArrowRight")
        page.wait_for_function("() => document.getElementById('problem').textContent.includes('does not answer')")
        page.set_viewport_size({"width": 800, "height": 700})
        assert page.locator("#canvas svg").count() == 0, "nothing of the picture before"
        page.unroute("**/item/*")
        at(page, 1)
        assert page.locator("#canvas svg").count() == 1
        context.close()


def test_pre_labels_have_no_boxes_to_hide(browser: Any, tmp_path: Path) -> None:
    rows = [Prelabel(f"{name}.png", "AB1", 0.4, "doubtful") for name in "ab"]
    write_pictures(tmp_path, [row.image for row in rows])
    write_prelabels(tmp_path / "labels.csv", rows)
    with serve(tmp_path / "labels.csv").serving() as server, opened(browser, server.url, SCREEN) as page:
        at(page, 0)
        boxes, said = page.locator("#boxes"), page.locator("#said")
        assert boxes.get_attribute("aria-disabled") == "true"
        assert boxes.get_attribute("title") == "Pre-labels are texts alone, without boxes."
        for keys in (["b"], ["Tab", "Alt+b"]):
            press(page, *keys)
            assert said.inner_text() == "Pre-labels are texts alone, without boxes."
            press(page, "ArrowDown")
            at(page, 1)
            assert said.inner_text() == ""
        assert boxes.get_attribute("aria-pressed") == "true"


def test_ten_thousand_suspects_of_which_few_are_drawn(browser: Any, tmp_path: Path) -> None:
    root = small_set(tmp_path / "set", suspects(10_000), pictures=False)
    with serve(root).serving() as server:
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        page.goto(server.url)
        at(page, 0)
        for key, place in (("End", 9_999), ("PageUp", 9_989), ("Home", 0)):
            press(page, key)
            at(page, place)
            assert page.locator(f"#cell-{place}[aria-selected=true]").count() == 1
            assert page.locator(".cell").count() < 40
        page.evaluate("() => { document.getElementById('strip').scrollLeft = 500_000; }")
        page.wait_for_selector(f"#cell-{500_000 // 136}")
        assert page.locator(".cell").count() < 40
        press(page, "Enter")
        at(page, 1)
        assert page.locator("#counted").inner_text() == "1 of 10,000 decided"
        context.close()
    assert decisions(root)[suspects(1)[0].source] == ("accept", "")


def test_finish_converts_again_and_says_what_changed(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = small_set(tmp_path / "set", suspects(1), arguments={"length": 8})
    told = reconversion.SetDifference(1, 2, vouched=1, corrected=0, left_out=0, returned=0, new_suspects=0, to_review=0)
    monkeypatch.setattr(reconversion.Reconversion, "_convert", lambda self: told)
    with serve(root).serving() as server, opened(browser, server.url, SCREEN) as page:
        at(page, 0)
        press(page, "Enter")
        page.wait_for_selector("#end[open]")
        press(page, "Enter")  # the button is the one thing left to press
        page.wait_for_function("() => document.getElementById('end-said').textContent === 'Converted.'")
        assert page.locator("#end-changes li").all_inner_texts() == [
            "1 picture no longer suspect", "2 pictures to train on, 1 before", "nothing left to decide on",
        ]  # fmt: skip
        assert "detector train" in page.locator("#end-next").inner_text()


def test_a_screen_reader_hears_where_it_is(browser: Any, tmp_path: Path) -> None:
    root = small_set(tmp_path / "set", suspects(3))
    with serve(root).serving() as server, opened(browser, server.url, SCREEN) as page:
        at(page, 0)
        assert page.locator("#spoken").inner_text() == (
            "1 of 3, not decided: label A B 0 0 0 0 0 C, read as A B 0 0 0 0 0 D, differing: D"
        )
        nameless = page.evaluate(
            "() => [...document.querySelectorAll('button, input, progress, [role=listbox], [role=application]')]"
            ".filter(node => !node.textContent.trim() && !node.labels?.length && !node.getAttribute('aria-label'))"
            ".map(node => node.id)"
        )
        assert nameless == []
        assert page.get_by_role("alert").count() == 1, "what is not there yet when its text comes is not read aloud"
        assert page.get_by_role("toolbar").count() == 0, "arrows go to other pictures, and not from tool to tool"
        page.click("#zoom")
        assert page.locator("#zoomed").inner_text() in page.locator("#zoom").get_attribute("aria-label")
        cell = page.locator("#cell-1")
        assert (cell.get_attribute("aria-posinset"), cell.get_attribute("aria-setsize")) == ("2", "3")
        assert cell.get_attribute("aria-label") == "AB00001C, not decided"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_are_readable_in_light_and_dark(browser: Any, tmp_path: Path, scheme: str) -> None:
    root = small_set(tmp_path / "set", suspects(2))
    with serve(root).serving() as server, opened(browser, server.url, SCREEN, color_scheme=scheme) as page:
        at(page, 0)
        press(page, "Delete")
        at(page, 1)
        press(page, "ArrowLeft")
        at(page, 0)
        poor = page.evaluate(CONTRAST)
    assert poor == []


CONTRAST = """() => {
  const light = colour => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map(v => v / 255)
      .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ground = node => {
    for (let at = node; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!/rgba\\(.*, 0\\)|transparent/.test(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const poor = [];
  for (const node of document.querySelectorAll("body *:not(svg *):not(dialog *):not(:disabled):not(.unseen)")) {
    if (![...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim())) continue;
    if (node.closest(":disabled, [hidden], noscript, dialog")) continue;
    const [a, b] = [light(getComputedStyle(node).color), light(ground(node))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) poor.push([node.id || node.className || node.tagName, node.textContent, ratio]);
  }
  return poor;
}"""
