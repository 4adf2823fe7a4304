"""What strings look like is learnt from readings or labels alone, and never from nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detector.errors import DatasetError
from detector.text.alphabet import DEFAULT_SYMBOLS
from detector.text.candidates import gather
from detector.text.decode import decode, decode_again
from detector.text.detections import CharDetections, Evidence, Reading
from detector.text.forms.fitting import fit_string_model, fit_string_model_to_labels
from detector.text.forms.string_model import StringFormat, StringModel, automaton_of
from detector.text.reading_config import ReadingConfig
from detector.text.search import search
from tests.builders import drawn_texts, seen

DIGITS = DEFAULT_SYMBOLS[:10]
FREE = ReadingConfig()


def read(text: str, model: StringModel | None = None, **options: float) -> Reading:
    return decode(seen(text), replace(FREE, string_model=model), 20.0 * len(text), **options)  # type: ignore[arg-type]


def seen_as(text: str) -> str:
    """On a typeface whose O is a 0 and whose I is a 1."""
    return text.replace("O", "0").replace("I", "1")


def fitted(texts: list[str]) -> StringModel:
    model = fit_string_model([read(seen_as(text)) for text in texts], DEFAULT_SYMBOLS)
    assert model is not None
    return model


def test_a_place_tells_letters_from_digits_that_look_the_same() -> None:
    texts = drawn_texts("AAA9999", 200)
    model = fitted(texts)
    assert str(model) == "AAA9999 (99 %)"
    free, told = [read(seen_as(text)) for text in texts], [read(seen_as(text), model) for text in texts]
    assert [r.text for r in told] == texts
    changed = [(a, b) for a, b in zip(free, told, strict=True) if a.text != b.text]
    assert len(changed) > 20
    assert all(b.unconstrained_text == a.text and b.confidence < a.confidence for a, b in changed)
    assert all(a == b for a, b in zip(free, told, strict=True) if a.text == b.text)


def test_two_formats_of_one_length() -> None:
    texts = drawn_texts("AAA9999", 270) + drawn_texts("99AAAAA", 30, seed=1)
    model = fitted(texts)
    assert [read(seen_as(text), model).text for text in texts] == texts


@pytest.mark.parametrize("count", [0, 1, 3, 5, 30, 300])
@pytest.mark.parametrize("seed", range(3))
def test_random_strings_have_no_format(count: int, seed: int) -> None:
    texts = drawn_texts("XXXXXX", count, seed) + drawn_texts("XXXXX", count, seed)
    assert fit_string_model([read(text) for text in texts], DEFAULT_SYMBOLS) is None
    assert fit_string_model_to_labels(texts, DEFAULT_SYMBOLS) is None


@pytest.mark.parametrize("exception", ["KX8T4RW", "77HV2P3", "KD1234", "ABC12345", "CD77"])
def test_a_rare_exception_stays_where_its_pixels_are_sure(exception: str) -> None:
    model = fitted([*drawn_texts("AAA9999", 198), exception, exception])
    assert read(exception, model) == read(exception)


def test_what_is_no_character_is_left_out_and_a_faint_one_is_taken_in() -> None:
    model = fitted(drawn_texts("AAA9999", 200))
    config = replace(FREE, string_model=model)
    seal, faint = seen("ABC12347", {7: 0.6}), seen("ABC1234", {5: 0.2})
    assert (decode(seal, FREE, 160).text, decode(seal, config, 160).text) == ("ABC12347", "ABC1234")
    assert (decode(faint, FREE, 140).text, decode(faint, config, 140).text) == ("ABC124", "ABC1234")
    assert decode(faint, config, 140).unconstrained_text == "ABC124"


def test_a_letter_that_never_occurred_stays_possible() -> None:
    texts = [text for text in drawn_texts("AAA9999", 300) if "W" not in text]
    for model in (fitted(texts), fit_string_model_to_labels(texts, DEFAULT_SYMBOLS)):
        assert read("WAW1234", model).text == "WAW1234"


@pytest.mark.parametrize(("text", "form"), [("A0{}", "AAAA"), ("{}1", "AAAAA"), ("I{}", "99999"), ("{}O", "9999")])
def test_other_places_alone_make_no_0_an_o(text: str, form: str) -> None:
    texts = [text.format(other) for other in drawn_texts(form, 60) if not set("01IO") & set(other)]
    model = fit_string_model([read(text) for text in texts], DEFAULT_SYMBOLS)
    assert model is not None
    assert [read(text, model).text for text in texts] == texts


def test_labels_tell_a_letter_that_is_always_the_same() -> None:
    model = fit_string_model_to_labels([f"W{text}" for text in drawn_texts("A9999", 200)], DEFAULT_SYMBOLS)
    assert str(model) == "WA9999 (100 %)"
    assert read("KA1234", model).text == "KA1234"  # a new region, surely seen


def test_order_of_readings_does_not_matter() -> None:
    readings = [read(seen_as(text)) for text in drawn_texts("AA999", 40)]
    assert fit_string_model(readings, DEFAULT_SYMBOLS) == fit_string_model(readings[::-1], DEFAULT_SYMBOLS) is not None
    texts = drawn_texts("AA999", 40)
    one, other = (fit_string_model_to_labels(some, DEFAULT_SYMBOLS) for some in (texts, texts[::-1]))
    assert one == other is not None


def test_a_reading_of_nothing_stays_empty() -> None:
    assert read("", fitted(drawn_texts("AA999", 60))) == read("")


def test_a_symbol_that_the_format_makes_less_sure_may_be_too_unsure() -> None:
    model = fitted(drawn_texts("AA999", 60))
    told = read("0B112", model)
    assert told.accepted and told.text == "OB112"
    least = min(character.confidence for character in told.characters)
    assert least < 0.95
    assert read("0B112", model, min_confidence=least) == told
    unsure = read("0B112", model, min_confidence=least + 1e-6)
    assert (unsure.text, unsure.rejected_text, unsure.unconstrained_text) == ("", "OB112", "0B112")
    assert unsure.rejected is not None and "character 1, 'O'" in unsure.rejected
    assert read("AB112", model, min_confidence=0.94).accepted  # nothing changed


def test_alternatives_are_other_strings() -> None:
    told = read("0B112", fitted(drawn_texts("AA999", 60)), alternatives=3)
    assert told.text == "OB112"
    assert len({told.text, *(a.text for a in told.alternatives)}) == 4
    assert all(a.confidence <= told.confidence for a in told.alternatives)


def test_decoded_again_as_at_once() -> None:
    config = replace(FREE, string_model=fitted(drawn_texts("AA999", 60)))
    detections = seen("0B112")

    def twice(boxes: np.ndarray) -> np.ndarray:
        return 2 * boxes

    kept = replace(decode(detections, FREE, 100), evidence=Evidence(detections, 100, twice))
    assert decode_again([kept], config) == [decode(detections, config, 100).mapped(twice)]
    with pytest.raises(ValueError, match="1 of 1 readings have no evidence"):
        decode_again([decode(detections, FREE, 100)], config)


def test_a_config_holds_it() -> None:
    model = fitted(drawn_texts("AA999", 60) + drawn_texts("AA99", 9))
    config = replace(FREE, string_model=model)
    again = ReadingConfig.from_dict(config.to_dict())
    assert again == ReadingConfig.from_dict(again.to_dict())
    assert str(again.string_model) == str(model)
    assert [read(text, again.string_model).text for text in ("0B112", "0B11")] == ["OB112", "OB11"]
    assert "string_model" not in FREE.to_dict()


UNIFORM = {"weight": 1.0, "symbols": [[1 / 36] * 36]}


@pytest.mark.parametrize(
    "held",
    [
        7,
        {"five": {"share": 1.0, "formats": []}},
        {"5": {"share": 0.0, "formats": []}},
        {"1": {"share": 1.0, "formats": [UNIFORM, {"weight": 1.0, "symbols": [[0.5, 0.5]]}]}},
        {"1": {"share": 1.0, "formats": [UNIFORM, {"weight": 1.0, "symbols": [[1.0] * 36]}]}},
        {"1": {"share": 1.0, "formats": [UNIFORM, {**UNIFORM, "weight": float("nan")}]}},
        {"1": {"share": 1.0, "formats": [UNIFORM]}},
        {"1": {"share": 1.0, "formats": [UNIFORM, {**UNIFORM, "weight": 5e-324}]}},
        {"1": {"share": 5e-324, "formats": [UNIFORM, UNIFORM]}},
        {"-1": {"share": 1.0, "formats": []}},
        {"1000000000": {"share": 1.0, "formats": []}},
    ],
)
def test_a_damaged_one_is_refused(held: object) -> None:
    with pytest.raises(DatasetError, match="cannot be understood"):
        ReadingConfig.from_dict({**FREE.to_dict(), "string_model": held})


def test_one_of_another_alphabet_is_refused() -> None:
    with pytest.raises(DatasetError, match="string model is of the symbols"):
        ReadingConfig(symbols="01", string_model=fitted(drawn_texts("AA999", 60)))


def test_a_length_that_nearly_all_have_is_a_form() -> None:
    texts = drawn_texts("XXXXX", 100)
    model = fitted(texts)
    assert str(model) == "XXXXX (100 %)"
    assert fit_string_model([read(text) for text in texts[:60] + drawn_texts("XXX", 40)], DEFAULT_SYMBOLS) is None
    noise = seen("AB3K7R", {5: 0.4})
    assert decode(noise, FREE, 120).text == "AB3K7R"
    assert decode(noise, replace(FREE, string_model=model), 120).text == "AB3K7"
    assert read("K4T9", model) == read("K4T9")


def test_models_of_the_same_lengths_are_told_apart() -> None:
    one, other = (fitted(drawn_texts(form, 60)) for form in ("AA999", "999AA"))
    assert one != other and one != StringModel(one.alphabet, one.formats, {5: 0.5})
    assert one == StringModel.from_dict(one.to_dict(), one.alphabet) and hash(one) == hash(replace(one))
    assert [read(text, model).text for text in ("0B112", "1120B") for model in (one, other)] == [
        "OB112",
        "0B112",
        "1120B",
        "112OB",
    ]


@pytest.mark.parametrize("concentration", [0.05, 1.0, 20.0])
def test_a_symbol_adds_what_the_best_of_its_classes_does(concentration: float) -> None:
    rng = np.random.default_rng(0)
    symbols = rng.dirichlet(np.full(len(DEFAULT_SYMBOLS), 0.1), (2, 5)) + 1e-9
    formats = (*(StringFormat(0.3, rows / rows.sum(1, keepdims=True)) for rows in (symbols[0] * 0 + 1, *symbols)),)
    automaton = automaton_of(StringModel(DEFAULT_SYMBOLS, {5: formats}, {5: 1.0}), 6)
    scores = -np.sort(-rng.dirichlet(np.full(8, concentration), 60), axis=1)
    for row in scores.reshape(10, 6, 8):
        ids = np.argsort(rng.random((6, len(DEFAULT_SYMBOLS))), axis=1)[:, :8]
        boxes = seen("ABCDEF").xyxy
        detections = CharDetections(boxes, row[:, 0], ids[:, 0], np.full(6, 0.9), ids, row)
        candidates = gather([detections], FREE, [120.0]).with_likelihoods(FREE.channel, 3.0)
        trellis = search(candidates, automaton)
        assert automaton.priors is not None
        of_kinds = automaton.priors[automaton.graph.kind_priors]
        np.testing.assert_array_equal(trellis.gain, (trellis.plain[0][:, :, None] + of_kinds).max(3))


def test_what_three_digits_leave_of_any_format_is_a_format() -> None:
    rng = np.random.default_rng(0)
    for concentration in (0.05, 1.0, 100.0):
        for symbols in (DIGITS, DEFAULT_SYMBOLS):
            for _ in range(50):
                rows = np.maximum(rng.dirichlet(np.full(len(symbols), concentration), 8), 1e-12)
                form = StringFormat(1.0, rows / rows.sum(1, keepdims=True))
                model = StringModel(symbols, {8: (form, form)}, {8: 1.0})
                assert StringModel.from_dict(model.to_dict(), symbols) == model
