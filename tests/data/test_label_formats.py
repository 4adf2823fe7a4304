"""Labels as people have them: every format of other programs is read, or refused in one short sentence."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.data.labels.formats import FORMATS, SIDECARS, TABLE_SUFFIXES
from detector.data.labels.sources import FORMATS as NAMED
from detector.data.labels.sources import SHARDS, LabelOptions, read_source
from detector.errors import SourceError
from tests.builders import label_files, pairs, write_pictures

AB = {"a.png": "007", "b.png": "XY"}


def mark(text: str | None) -> str:
    return json.dumps([{"transcription": text, "points": [[1, 1], [9, 1], [9, 9], [1, 9]], "difficult": False}])


def task(image: str, *texts: str | None) -> dict[str, Any]:
    result = [{"type": "rectanglelabels", "value": {"x": 1}}, {"type": "textarea", "value": {"text": list(texts)}}]
    return {"id": 1, "data": {"ocr": image}, "annotations": [{"result": result}]}


def labelme(*shapes: tuple[str, str, list[list[float]]], kind: str = "rectangle") -> str:
    """labelme's file of (label, description, points)."""
    return json.dumps({"version": "5.5.0", "flags": {}, "imagePath": "..\\\\x.png", "imageData": "aGk=", "shapes": [
        {"label": label, "description": text, "points": points, "group_id": None, "shape_type": kind, "flags": {}}
        for label, text, points in shapes
    ]})  # fmt: skip


def cvat(*images: tuple[str, str]) -> str:
    """CVAT's file of (name, what is in the image's element)."""
    elements = "".join(f'<image id="1" name="{name}" width="40" height="20">{inner}</image>' for name, inner in images)
    head = '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta><task/></meta>'
    return f"{head}{elements}</annotations>\n"


def cvat_box(label: str, text: str = "", name: str = "text", more: str = "") -> str:
    attribute = f'<attribute name="{name}">{text}</attribute>' if text else ""
    return f'<box label="{label}" {more} xtl="1.0" ytl="2.0" xbr="9.0" ybr="9.0">{attribute}</box>'


def via(**pictures: tuple[dict[str, str], list[dict[str, object]]]) -> dict[str, object]:
    """VIA's pictures of (attributes of the file, regions), by the stems of their names."""
    return {
        f"{stem}.png123": {"filename": f"{stem}.png", "size": 123, "regions": regions, "file_attributes": attributes}
        for stem, (attributes, regions) in pictures.items()
    }


def via_box(x1: int, y1: int, x2: int, y2: int, **attributes: str) -> dict[str, object]:
    shape = {"name": "rect", "x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}
    return {"shape_attributes": shape, "region_attributes": attributes}


SQUARE = [[1, 2], [9, 9]]
GT_PARSE = json.dumps({"gt_parse": {"text_sequence": "007"}})
TEXT_FILES: dict[str, tuple[str, dict[str, str]]] = {
    "HuggingFace metadata.csv": ("csv", {"metadata.csv": "file_name,text\na.png,007\nb.png,XY\n"}),
    "HuggingFace metadata.jsonl": (
        "jsonl", {"metadata.jsonl": '{"file_name": "a.png", "text": "007"}\n{"file_name": "b.png", "text": "XY"}\n'},
    ),
    "donut": (
        "jsonl",
        {"metadata.jsonl": json.dumps({"file_name": "a.png", "ground_truth": GT_PARSE}) + "\n"
         + json.dumps({"file_name": "b.png", "ground_truth": {"gt_parse": {"text": "XY"}}})},
    ),
    "a JSON object of texts": ("json", {"labels.json": '{\n "a.png": "007",\n "b.png": "XY"\n}'}),
    "a JSON object in one line": ("json", {"labels.json": '{"a.png": "007", "b.png": "XY"}'}),
    "a JSON object without endings": ("json", {"labels.json": '{"images/a": "007", "images/b": "XY", "c.png": ""}'}),
    "a JSON array": (
        "json", {"labels.json": '[{"image": "a.png", "text": "007"}, {"image": "b.png", "text": "XY"}]'},
    ),
    "a JSON array called jsonl": (
        "json", {"labels.jsonl": '[\n {"image": "a.png", "text": "007"},\n {"image": "b.png", "text": "XY"}]'},
    ),
    "JSON lines called json": (
        "jsonl", {"labels.json": '{"image": "a.png", "text": "007"}\n{"image": "b.png", "text": "XY"}\n'},
    ),
    "an array of pairs": ("json", {"labels.json": '[["a.png", "007"], ["b.png", "XY"]]'}),
    "what pandas writes": (
        "json", {"labels.json": '{"file_name": {"0": "a.png", "1": "b.png"}, "label": {"0": "007", "1": "XY"}}'},
    ),
    "columns": ("json", {"labels.json": '{"image": ["a.png", "b.png"], "text": ["007", "XY"]}'}),
    "bars": ("csv", {"metadata.csv": "a.png|007\nb.png|XY\n"}),
    "MMOCR's data_list": (
        "json",
        {"train.json": json.dumps({"metainfo": {"dataset_type": "x"}, "data_list": [
            {"img_path": "a.png", "instances": [{"text": "007"}]}, {"img_path": "b.png", "instances": [{"text": "XY"}]},
        ]})},
    ),
    "MMOCR's list": ("spaced", {"label.txt": "a.png 007\nb.png XY\n"}),
    "a list with ./": ("spaced", {"annotations.txt": "./a.png 007\n./b.png  XY\n"}),
    "Kaggle": ("csv", {"train_labels.csv": "Id,Label\na,007\nb,XY\n"}),
    "Excel's sep=": ("csv", {"labels.csv": "\ufeffsep=;\nimage;text\na.png;\"=\"\"007\"\"\"\nb.png;XY\n"}),
    "PPOCRLabel's list": ("ppocrlabel", {"Label.txt": f"a.png\t{mark('007')}\nb.png\t{mark('XY')}\n"}),
    "PPOCRLabel's folder": (
        "paddleocr",
        {"Label.txt": f"a.png\t{mark('OTHER')}\n", "fileState.txt": "C:\\d\\a.png\t1\nC:\\d\\b.png\t1\n",
         "rec_gt.txt": "a.png\t007\nb.png\tXY\n"},
    ),
    "what was looked at": (
        "paddleocr", {"seen.txt": "a.png\t1\nb.png\t1\nc.png\t1\nd.png\t1\n", "rec_gt.txt": "a.png\t007\nb.png\tXY\n"},
    ),
    "Label Studio": (
        "label-studio",
        {"project-1.json": json.dumps([task("/data/upload/1/0a1b2c3d-a.png", "007"),
                                       task("/data/local-files/?d=set/b.png", "XY")])},
    ),
    "Label Studio's JSON-MIN": (
        "label-studio",
        {"min.json": json.dumps([
            {"image": "/data/upload/3/0a1b2c3d-a.png", "transcription": "007", "annotation_id": 1, "lead_time": 3},
            {"image": "/data/upload/3/0a1b2c3e-b.png", "transcription": "XY", "annotation_id": 2, "lead_time": 3},
        ])},
    ),
    "Label Studio's CSV": (
        "label-studio",
        {"project.csv": "annotation_id,created_at,id,image,lead_time,label,transcription\n"
         '1,2026,1,/data/upload/3/0a1b2c3d-a.png,3,"[{""x"": 1}]",007\n'
         '2,2026,2,/data/upload/3/0a1b2c3e-b.png,3,"[{""x"": 1}]","[""XY""]"\n'},
    ),
    "Tesseract's files": ("gt-txt", {"a.gt.txt": "007\n", "b.gt.txt": "XY\n"}),
    "a text beside each picture": ("txt", {"a.txt": "007\n", "b.txt": "\ufeffXY\r\n"}),
    "text files in labels/": ("txt", {"labels/a.txt": "007", "labels/b.txt": "XY"}),
    "what predict wrote": (
        "csv",
        {"read.csv": "image,text,confidence,rejected_text,rejected,error\nnew/a.png,007,0.9,,,\nnew/b.png,XY,0.9,,,\n"},
    ),
    "labelme, descriptions": (
        "labelme",
        {"a.json": labelme(("plate", "007", SQUARE)), "b.json": labelme(("plate", "XY", SQUARE), ("car", "", SQUARE))},
    ),
    "labelme, labels": ("labelme", {"a.json": labelme(("007", "", SQUARE)), "b.json": labelme(("XY", "", SQUARE))}),
    "CVAT, attributes": (
        "cvat", {"annotations.xml": cvat(("a.png", cvat_box("plate", "007")), ("b.png", cvat_box("plate", "XY")))},
    ),
    "CVAT, tags of images": (
        "cvat",
        {"annotations.xml": cvat(*(
            (name, f'<tag label="plate"><attribute name="Plate number">{text}</attribute></tag>{cvat_box("car")}')
            for name, text in AB.items()))},
    ),
    "VIA, attributes of files": (
        "via", {"via.json": json.dumps(via(a=({"text": "007", "caption": ""}, []), b=({"text": "XY"}, [])))},
    ),
    "VIA 1, a project": (
        "via",
        {"via_project.json": json.dumps({"_via_settings": {}, "_via_img_metadata": {
            "a": {"filename": "a.png", "regions": {"0": via_box(1, 1, 9, 9, kind="plate", text="007")}},
            "b": {"filename": "b.png", "regions": {"0": via_box(1, 1, 9, 9, kind="plate", text="XY")}}}})},
    ),
    "COCO with texts": (
        "coco",
        {"train.json": json.dumps({
            "images": [{"id": 5, "file_name": "a.png"}, {"id": 9, "file_name": "b.png"}], "categories": [],
            "annotations": [{"image_id": 9, "bbox": [1, 1, 5, 5], "text": "XY"},
                            {"image_id": 5, "bbox": [1, 1, 5, 5], "text": "007"}],
        })},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "contents"), TEXT_FILES.values(), ids=TEXT_FILES.keys())
def test_texts(tmp_path: Path, kind: str, contents: dict[str, str]) -> None:
    source = read_source(label_files(tmp_path, contents))
    assert (source.format, pairs(source)) == (kind, AB)
    assert not source.refused or "c.png" in source.refused[0].name
    if source.label_file is not None and len(contents) == 1:
        assert pairs(read_source(source.label_file)) == pairs(read_source(tmp_path, labels=kind)) == AB


BOXES = {"a.png": [("7", 22, 2, 30, 18), ("0", 2, 3, 9, 18), ("0", 12, 2, 20, 17)], "b.png": [("X", 1, 1, 9, 9)]}


def voc(boxes: list[tuple[str, int, int, int, int]]) -> str:
    objects = "".join(
        f"<object><name>{s}</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox>"
        "</object>"
        for s, x1, y1, x2, y2 in boxes
    )
    return f"<annotation><filename>other.png</filename>{objects}</annotation>"


def yolo(boxes: list[tuple[str, int, int, int, int]], names: str = "07X") -> str:
    return "".join(
        f"{names.index(s)} {(x1 + x2) / 80} {(y1 + y2) / 40} {(x2 - x1) / 40} {(y2 - y1) / 20}\n"
        for s, x1, y1, x2, y2 in boxes
    )


def coco(names: str = "07X") -> str:
    annotations = [
        {"image_id": image, "category_id": 1 + names.index(s), "bbox": [x1, y1, x2 - x1, y2 - y1]}
        for image, boxes in BOXES.items()
        for s, x1, y1, x2, y2 in boxes
    ]
    images = [{"id": image, "file_name": image} for image in BOXES]
    categories = [{"id": 0, "name": "characters"}, *({"id": 1 + i, "name": s} for i, s in enumerate(names))]
    return json.dumps({"images": images, "annotations": annotations, "categories": categories})


TABLE = "".join(f"{image},40,20,{s},{','.join(map(str, box))}\n" for image, boxes in BOXES.items() for s, *box in boxes)
OURS = "".join(f"{image},{s},{','.join(map(str, box))}\n" for image, boxes in BOXES.items() for s, *box in boxes)
DRAWN: dict[str, tuple[str, dict[str, str]]] = {
    "Roboflow's CSV": ("boxes", {"_annotations.csv": f"filename,width,height,class,xmin,ymin,xmax,ymax\n{TABLE}"}),
    "our own": ("boxes", {"boxes.csv": f"image,char,x1,y1,x2,y2\n{OURS}"}),
    "COCO": ("coco", {"_annotations.coco.json": coco()}),
    "labelme": (
        "labelme",
        {f"{name[0]}.json": labelme(*((s, "", [[x2, y1], [x1, y2]]) for s, x1, y1, x2, y2 in boxes))
         for name, boxes in BOXES.items()},
    ),
    "labelme, polygons in labels/": (
        "labelme",
        {f"labels/{name[0]}.json": labelme(
            *((s, "", [[x1, y1], [x2, y1], [x1, y2]]) for s, x1, y1, x2, y2 in boxes), kind="polygon")
         for name, boxes in BOXES.items()},
    ),
    "CVAT": (
        "cvat",
        {"annotations.xml": cvat(*((name, "".join(
            f'<box label="{s}" occluded="0" xtl="{x1}.00" ytl="{y1}.00" xbr="{x2}.00" ybr="{y2}.00" z_order="0"></box>'
            for s, x1, y1, x2, y2 in boxes)) for name, boxes in BOXES.items()))},
    ),
    "VIA": (
        "via",
        {"via.json": json.dumps(via(**{name[0]: ({}, [via_box(*box, name=s) for s, *box in boxes])
                                       for name, boxes in BOXES.items()}))},
    ),
    "VIA's CSV": (
        "via",
        {"via.csv": "#filename,file_attributes,region_id,region_shape_attributes,region_attributes\n"
         + "".join(",".join(f'"{field}"' for field in (name, "{}", 0, *(
             json.dumps(part).replace('"', '""') for part in via_box(*box, char=s).values()))) + "\n"
                   for name, boxes in BOXES.items() for s, *box in boxes)},
    ),
    "VOC beside": ("voc", {"a.xml": voc(BOXES["a.png"]), "b.xml": voc(BOXES["b.png"])}),
    "VOC in Annotations": (
        "voc", {"Annotations/a.xml": voc(BOXES["a.png"]), "Annotations/b.xml": voc(BOXES["b.png"])}
    ),
    "YOLO with data.yaml": (
        "yolo",
        {"labels/a.txt": yolo(BOXES["a.png"]), "labels/b.txt": yolo(BOXES["b.png"]),
         "data.yaml": "names: ['0', '7', X]"},
    ),
    "YOLO with classes.txt": (
        "yolo", {"a.txt": yolo(BOXES["a.png"]), "b.txt": yolo(BOXES["b.png"]), "classes.txt": "0\n7\nX\n"}
    ),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "contents"), DRAWN.values(), ids=DRAWN.keys())
def test_drawn_boxes_are_labels_of_their_own(tmp_path: Path, kind: str, contents: dict[str, str]) -> None:
    source = read_source(label_files(tmp_path, contents))
    assert (source.format, pairs(source), source.refused) == (kind, {"a.png": "007", "b.png": "X"}, [])
    boxes = source.items[0].boxes_xyxy
    assert boxes is not None and boxes.dtype == np.float32
    np.testing.assert_allclose(boxes, [[2, 3, 9, 18], [12, 2, 20, 17], [22, 2, 30, 18]], atol=0.01)


def test_drawn_boxes_beside_texts_are_taken_where_they_agree(tmp_path: Path) -> None:
    boxes = f"image,char,x1,y1,x2,y2\n{OURS}"
    source = read_source(label_files(tmp_path, {"labels.csv": "image,text\na.png,0 07\nb.png,Y\n", "boxes.csv": boxes}))
    assert pairs(source) == {"a.png": "0 07", "b.png": "Y"}
    drawn = [item.boxes_xyxy for item in source.items]
    assert drawn[0] is not None and drawn[0].shape == (3, 4) and drawn[1] is None
    assert "1 pictures have drawn boxes of other symbols than their text" in source.notes[-1]
    assert "drawn boxes from boxes.csv" in source.detail


def test_folders_of_yolo_have_classes_of_their_own(tmp_path: Path) -> None:
    box = [("0", 2, 3, 9, 18)]
    contents = {"1/a.txt": yolo(box), "1/classes.txt": "A\nB\n", "2/b.txt": yolo(box), "2/classes.txt": "B\nA\n"}
    assert pairs(read_source(label_files(tmp_path, contents, ("1/a.png", "2/b.png")))) == {
        "1/a.png": "A",
        "2/b.png": "B",
    }


SPELT: dict[str, tuple[str, LabelOptions, str, list[int]]] = {
    "small letters": ("ab", {"upper": True}, "AB", [0, 1]),
    "separators": ("A-B", {"ignore": "-"}, "AB", [0, 2]),
    "a stand-in for the space": ("A_B", {"space": "_"}, "A B", [0, 2]),
    "full-width letters": ("ＡB", {}, "AB", [0, 1]),
    "right to left, which boxes show": ("גבא7", {"visual_order": True}, "גבא7", [0, 1, 2, 3]),
}


@pytest.mark.parametrize(("symbols", "options", "text", "kept"), SPELT.values(), ids=SPELT.keys())
def test_drawn_boxes_are_kept_however_their_text_is_spelt(
    tmp_path: Path, symbols: str, options: LabelOptions, text: str, kept: list[int]
) -> None:
    boxes = [(symbol, 10 * i, 1, 10 * i + 8, 9) for i, symbol in enumerate(symbols)]
    source = read_source(label_files(tmp_path, {"a.xml": voc(boxes)}, ("a.png",)), **options)
    drawn = source.items[0].boxes_xyxy
    assert pairs(source) == {"a.png": text} and drawn is not None
    assert drawn[:, 0].tolist() == [10.0 * i for i in kept]


def test_a_box_that_is_there_twice_is_one_character_and_two_at_one_place_are_none(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["a.png", "b.png", "c.png"])
    (tmp_path / "classes.txt").write_text("A\nB\n")
    one, next_one, moved = "0 0.2 0.5 0.2 0.8", "0 0.5 0.5 0.2 0.8", "0 0.201 0.5 0.2 0.8"
    for name, rows in (("a", [one, next_one, one]), ("b", [one, moved]), ("c", [one, "1" + moved[1:]])):
        (tmp_path / f"{name}.txt").write_text("\n".join(rows))
    source = read_source(tmp_path, labels="yolo")
    assert {item.name: item.text for item in source.items} == {"a.png": "AA", "b.png": "A"}
    assert [refused.reason for refused in source.refused] == ["boxes of 'A' and of 'B' are at the same place"]


def test_boxes_of_two_lines_are_read_line_by_line(tmp_path: Path) -> None:
    square = "a.png,A,2,1,9,9\na.png,B,12,1,19,9\na.png,1,1,11,8,19\na.png,2,12,11,18,19\n"
    floating = "b.png,A,2,0,9,8\nb.png,B,11,12,18,20\nb.png,C,20,0,28,8\n"
    source = read_source(label_files(tmp_path, {"boxes.csv": f"image,char,x1,y1,x2,y2\n{square}{floating}"}))
    assert pairs(source) == {"a.png": "AB12", "b.png": "ABC"}


REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "boxes of plates, CSV": (
        {"_annotations.csv": "filename,width,height,class,xmin,ymin,xmax,ymax\na.png,40,20,plate,1,1,9,9\n"},
        r"_annotations.csv has boxes of 'plate', not of single characters, and no texts",
    ),
    "boxes of plates, YOLO": (
        {"1.txt": "0 .5 .5 .1 .1", "2.txt": "0 .5 .5 .1 .1", "3.txt": "", "4.txt": "", "data.yaml": "names: [plate]"},
        "has boxes of 'plate', not of single characters",
    ),
    "JSON of another kind": ({"x.json": '{"version": 1, "rows": [1, 2]}'}, "x.json is JSON of another kind"),
    "no JSON": ({"x.json": "{'a.png': 'A'}"}, "x.json is no JSON file"),
    "boxes of plates, labelme": (
        {f"{i}.json": labelme(("plate", "", SQUARE)) for i in (1, 2, 3)}, "has boxes of 'plate', not of single",
    ),
    "boxes of plates, CVAT": (
        {"annotations.xml": cvat(*((f"{i}.png", cvat_box("plate")) for i in (1, 2, 3)))}, "boxes of 'plate'",
    ),
    "boxes of plates, VIA": (
        {"via.json": json.dumps(via(**{str(i): ({}, [via_box(1, 1, 5, 5, name="plate")]) for i in (1, 2)}))},
        "boxes of 'plate'",
    ),
    "a video of CVAT": ({"x.xml": "<annotations><track id='1' label='A'/></annotations>"}, "CVAT for images 1.1"),
    "CVAT's, cut": ({"x.xml": cvat(("1.png", cvat_box("A")))[:-40]}, "x.xml is damaged"),
    "CVAT's with entities": (
        {"x.xml": '<!DOCTYPE x [<!ENTITY a "b">]>' + cvat(("1.png", cvat_box("&a;")))}, "has a document type"
    ),
    "XML of another kind": ({"x.xml": "<?xml version='1.0'?><html/>"}, "XML of another kind than CVAT's for images"),
    "several texts a picture, in a list": (
        {"x.json": json.dumps({"images": [{"id": 1, "file_name": "1.png"}], "annotations": [{"image_id": 1}] * 2})},
        "not of single characters",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("contents", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_read_says_what_it_is(tmp_path: Path, contents: dict[str, str], says: str) -> None:
    with pytest.raises(SourceError, match=says) as caught:
        read_source(label_files(tmp_path, contents, ("1.png", "2.png", "3.png", "4.png")))
    assert len(str(caught.value)) < 1200


VIA_SHAPE = '{"name": "rect", "x": 1, "y": 1, "width": 5, "height": 9}'
SINGLE: dict[str, tuple[str, str, str]] = {
    "several texts of PPOCRLabel": (
        "Label.txt", f"a.png\t{mark('A')}\nb.png\t{mark('A')[:-1]}, {mark('B')[1:]}\n", "2 texts are marked in it",
    ),
    "several texts of Label Studio": (
        "x.json", json.dumps([task("a.png", "A"), task("b.png", "A", "B")]), "2 texts are marked in it: crop",
    ),
    "null as a text of PPOCRLabel": (
        "Label.txt", f"a.png\t{mark('A')}\nb.png\t{mark(None)}\n", "nothing was typed for it",
    ),
    "a box of PPOCRLabel that was drawn only": (
        "Label.txt", f"a.png\t{mark('A')}\nb.png\t{mark('TEMPORARY')}\n", "'TEMPORARY', which PPOCRLabel writes where",
    ),
    "a box that PPOCRLabel could not read": (
        "Label.txt", f"a.png\t{mark('A')}\nb.png\t{mark('NULL')}\n", "'NULL', which PPOCRLabel writes where none",
    ),
    "nothing marked by PPOCRLabel": ("Label.txt", f"a.png\t{mark('A')}\nb.png\t[]\n", "nothing was typed for it"),
    "null as a text of Label Studio": (
        "x.json", json.dumps([task("a.png", "A"), task("b.png", None)]), "nothing was typed for it",
    ),
    "two persons' texts in Label Studio": (
        "x.json", json.dumps([
            task("a.png", "A") | {"annotations": 2 * task("", "A")["annotations"]},
            task("b.png") | {"annotations": task("", "AB")["annotations"] + task("", "A8")["annotations"]},
        ]),
        r"its annotations differ \('AB', 'A8'\): keep one",
    ),
    "a first annotation of COCO without a text": (
        "x.json", json.dumps({
            "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
            "annotations": [{"image_id": 2, "bbox": [1, 1, 5, 5]}, {"image_id": 1, "text": "AB"}]}),
        "nothing was typed for it",
    ),
    "null in a JSON object": ("x.json", '{"a.png": "A", "c.png": "C", "b.png": null}', "its text is not a string"),
    "an id of two pictures in COCO": (
        "x.json", json.dumps({
            "images": [{"id": i, "file_name": name} for i, name in ((1, "a.png"), (2, "b.png"), (2, "c.png"))],
            "annotations": [{"image_id": 1, "text": "AB"}, {"image_id": 2, "text": "CD"}]}),
        "its id 2 is that of another picture, too",
    ),
    "null as a text of COCO": (
        "x.json", json.dumps({
            "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
            "annotations": [{"image_id": 1, "text": "AB"}, {"image_id": 2, "text": None}]}),
        "nothing was typed for it",
    ),
    "nothing typed": ("x.json", json.dumps([task("a.png", "A"), task("b.png")]), "nothing was typed for it"),
    "nothing typed in CVAT": (
        "x.xml", cvat(("a.png", cvat_box("plate", "AB")), ("b.png", ""), ("c.png", cvat_box("plate", "CD"))),
        "nothing was typed for it",
    ),
    "two texts in CVAT": (
        "x.xml", cvat(("a.png", cvat_box("p", "AB")), ("b.png", cvat_box("p", "CD") + cvat_box("p", "EF"))),
        "2 texts are marked in it: crop",
    ),
    "a turned box of CVAT": (
        "x.xml", cvat(("a.png", cvat_box("A")), ("b.png", cvat_box("B", more='rotation="12.5"'))),
        "'B' is no upright box",
    ),
    "a point of VIA": (
        "x.json", json.dumps(via(a=({}, [via_box(1, 1, 5, 5, name="A")]), b=({}, [
            {"shape_attributes": {"name": "point", "cx": 1, "cy": 2}, "region_attributes": {"name": "B"}}]))),
        "'B' is no upright box",
    ),
    "a word among boxes": (
        "boxes.csv", "image,char,x1,y1,x2,y2\na.png,A,1,1,2,2\nb.png,AB,1,1,2,2\na.png,C,3,1,4,2\na.png,D,5,1,6,2\n",
        "the box 'AB' is of no single character",
    ),
    "a box that lacks fields": (
        "boxes.csv", "image,char,x1,y1,x2,y2\na.png,A,1,1,2,2\nb.png,A,1,1,2,2\nb.png,B,3,1\nb.png,C,5,1,6,2\n",
        r"a box has too few fields \(line 4\)",
    ),
    "a damaged region of VIA": (
        "via.csv",
        "filename,file_attributes,region_shape_attributes,region_attributes\n" + "".join(
            f"""{name},{{}},"{shape.replace('"', '""')}","{{""name"": ""{symbol}""}}"\n"""
            for name, symbol, shape in (
                ("a.png", "A", VIA_SHAPE), ("b.png", "A", VIA_SHAPE), ("b.png", "B", VIA_SHAPE[:-9]),
            )
        ),
        "the mark 'B' is no upright box",
    ),
    "an empty box": (
        "boxes.csv", "image,char,x1,y1,x2,y2\na.png,A,1,1,2,2\nb.png,A,1,1,1,2\n", "no width or no height",
    ),
    "a corner that is none": (
        "boxes.csv", "image,char,x1,y1,x2,y2\na.png,A,1,1,2,2\nb.png,A,1,x,1,2\n", "a corner that is no number",
    ),
    "a number that was rounded": ("x.csv", "image,text\na.png,AB\nb.png,1.23E+11\n", "its digits are lost"),
    "a line without a text": ("x.txt", "a.png A\nb.png\nc.png B\n", "no space between path and text|no such file"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "says"), SINGLE.values(), ids=SINGLE.keys())
def test_single_inputs_are_refused(tmp_path: Path, name: str, content: str, says: str) -> None:
    source = read_source(label_files(tmp_path, {name: content}))
    assert "a.png" in pairs(source) and "b.png" not in pairs(source)
    assert any(re.search(says, refused.reason) for refused in source.refused if refused.name == "b.png")


def test_a_picture_without_a_file_beside_it_is_refused(tmp_path: Path) -> None:
    source = read_source(label_files(tmp_path, {"a.gt.txt": "A", "b.gt.txt": "B\nC\n"}, ("a.png", "b.png", "c.png")))
    assert pairs(source) == {"a.png": "A"}
    assert {r.name: r.reason for r in source.refused} == {
        "b.png": "b.gt.txt has 2 lines, and a label is one",
        "c.png": "there is no c.gt.txt with its label",
    }


def test_every_format_has_a_name_that_can_be_asked_for(tmp_path: Path) -> None:
    named = [name for name in NAMED if name not in ("names", "hash-names", SHARDS)]  # of label files
    assert {form.name for form in (*FORMATS, *SIDECARS)} == set(named)
    label_files(tmp_path, {})
    for name in named:
        with pytest.raises(SourceError, match=f"No {name} label file in"):
            read_source(tmp_path, labels=name)
        (tmp_path / "x.any").write_text("nothing of the kind\n")
        if name in {form.name for form in FORMATS}:
            with pytest.raises(SourceError) as caught:
                read_source(tmp_path / "x.any", labels=name)
            assert "x.any" in str(caught.value)


LONG: dict[str, Callable[[], str]] = {
    "one long line": lambda: "x" * 300_000,
    "a long header": lambda: ",".join(f"column{i}" for i in range(40_000)) + "\n1\n",
    "texts in many columns": lambda: "image," + ",".join(["text"] * 30_000) + "\na.png\n",
    "a long JSON value": lambda: json.dumps({"k" * 200_000: {"deep": [1] * 1000}}),
    "a long JSON line": lambda: json.dumps({f"k{i}": "v" for i in range(30_000)}),
    "an open quote": lambda: 'image,text\na.png,"' + "x" * 300_000,
    "deep JSON": lambda: "[" * 100_000,
    "a long path": lambda: f"image,text\n{'a/' * 60_000}a.png,A\n",
}


@pytest.mark.parametrize("suffix", sorted(TABLE_SUFFIXES))
@pytest.mark.parametrize("content", LONG.values(), ids=LONG.keys())
def test_messages_stay_short(tmp_path: Path, content: Callable[[], str], suffix: str) -> None:
    (tmp_path / f"x{suffix}").write_text(content(), encoding="utf-8")
    try:
        source = read_source(tmp_path / f"x{suffix}")
    except SourceError as error:
        assert len(str(error)) < 900
    else:
        assert all(len(refused.name) + len(refused.reason) < 1500 for refused in source.refused)


ALL = [content for _, contents in (*TEXT_FILES.values(), *DRAWN.values()) for content in contents.items()]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(ALL), st.data())
def test_damaged_files_are_read_or_refused(file: tuple[str, str], data: st.DataObject) -> None:
    """A few bytes of a file of any format are others, or gone: an error of ours, or each input an item or refused."""
    name, content = file
    raw = bytearray(content.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(raw) - 1, 0)))
        if data.draw(st.booleans()):
            raw[at : at + 1] = data.draw(st.binary(max_size=3))
        else:
            del raw[at : at + data.draw(st.integers(1, 20))]
    with tempfile.TemporaryDirectory() as folder:
        root = label_files(Path(folder), {name: ""})
        (root / name).write_bytes(raw)
        for path in (root, root / name):
            try:
                source = read_source(path)
            except SourceError as error:
                assert len(str(error)) < 2500
                continue
            assert len({item.path for item in source.items}) == len(source.items)
            assert all(item.text and item.path.is_file() for item in source.items)
            assert all(refused.reason for refused in source.refused)


COCO_AB = {"images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
           "categories": [{"id": 1, "name": "X"}]}  # fmt: skip
SPACES = " " * 30_000
HOSTILE: dict[str, dict[str, str]] = {
    "Label Studio's CSV with an open quote": {
        "x.csv": "annotation_id,lead_time,image,text\n1,1,a.png,007\n2,1,b.png,\"" + "x" * 200_000
    },
    "Label Studio without results": {
        "x.json": json.dumps([{"data": {"ocr": "a.png"}, "annotations": [{"result": None}]},
                              {"data": {"ocr": "b.png"}, "annotations": [{"result": 7}]}])
    },
    "MMOCR's list of other things": {
        "x.json": json.dumps({"data_list": [{"img_path": "a.png", "instances": [{"text": "007"}]},
                                            {"img_path": "b.png", "instances": None}, {"img_path": "c.png"}]})
    },
    "COCO with lists for ids": {
        "x.json": json.dumps({**COCO_AB, "annotations": [
            {"image_id": [1], "category_id": 1, "bbox": [1, 1, 5, 5]},
            {"image_id": 1, "category_id": {}, "bbox": [1, 1, 5, 5]},
            {"image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}]})
    },
    "COCO with categories that are none": {
        "x.json": json.dumps({**COCO_AB, "categories": 1, "annotations": [{"image_id": 1, "text": "007"}]})
    },
    "boxes at the end of the world": {
        "_annotations.csv": "filename,class,xmin,ymin,xmax,ymax\na.png,A,1e300,0,1e308,9\nb.png,B,1,1,5,5\n"
        "b.png,C,nan,1,5,inf\n"
    },
    "VOC of blanks": {"a.xml": f"<annotation><object><name>{SPACES}<", "b.xml": f"<object>{SPACES}<name>{SPACES}"},
    "lines of blanks": {"list.txt": f"a.png 007\nb.png XY\nc.png Z\n{SPACES}x\n{SPACES}.png{SPACES}x"},
    "entities in UTF-16": {
        "a.xml": '<!DOCTYPE x [<!ENTITY a "b">]><annotation>&a;</annotation>'.encode("utf-16").decode("latin-1")
    },
    "YOLO with a class of many digits": {
        "a.txt": f"{'9' * 400} .5 .5 .1 .1\n", "b.txt": "0 .5 .5 .1 .1\n", "classes.txt": "X"
    },
    "YOLO with names that grow": {
        "a.txt": "0 .5 .5 .1 .1\n", "b.txt": "0 .5 .5 .1 .1\n",
        "data.yaml": "a: &a [x,x,x,x,x,x,x,x]\n" + "".join(
            f"{new}: &{new} [{','.join([f'*{old}'] * 8)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
        ) + "names: *i\n",
    },
}  # fmt: skip


@pytest.mark.parametrize("contents", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_files_are_read_or_refused(contents: dict[str, str], tmp_path: Path) -> None:
    root = label_files(tmp_path, contents)
    try:
        source = read_source(root)
    except SourceError as error:
        assert len(str(error)) < 1500
    else:
        assert source.count
        assert all(len(refused.reason) < 500 for refused in source.refused)
        assert all(item.boxes_xyxy is None or np.abs(item.boxes_xyxy).max() < 1e6 for item in source.items)


def test_one_bad_file_of_many_refuses_its_picture_alone(tmp_path: Path) -> None:
    names = tuple(f"{stem}.png" for stem in "abcdef")
    root = label_files(tmp_path, {f"{stem}.gt.txt": f"AB{stem}" for stem in "abcd"}, images=names)
    (root / "e.gt.txt").write_bytes("AB".encode("utf-16"))
    os.mkfifo(root / "f.gt.txt")
    source = read_source(root)
    assert sorted(pairs(source).values()) == ["ABa", "ABb", "ABc", "ABd"]
    assert {refused.name: refused.reason.split(" ", 1)[1][:30] for refused in source.refused} == {
        "e.png": "is UTF-16: save it as UTF-8, o", "f.png": "cannot be read: not a regular "
    }  # fmt: skip


@pytest.mark.parametrize("name", ["pipe.csv", "pipe.json"])
def test_a_pipe_is_no_source(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(SourceError, match=f"{name} is a pipe, a socket or a device: give a folder"):
        read_source(tmp_path / name)


def test_a_label_of_a_thousand_characters_is_none(tmp_path: Path) -> None:
    source = read_source(label_files(tmp_path, {"labels.csv": f"image,text\na.png,{'A' * 1001}\nb.png,{'B' * 1000}\n"}))
    assert [item.name for item in source.items] == ["b.png"]
    assert source.refused[0].reason.startswith("the label has 1001 characters, and is none")
