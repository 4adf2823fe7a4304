"""Arguments of `yolo train`: each is followed, or another value than the one in force is an error."""

from __future__ import annotations

from typing import Any

import pytest

import detector
from detector.cli.commands.train import parse_arguments
from detector.errors import ArgumentError
from detector.networks.ultralytics.library import DEFAULT_CFG_DICT
from detector.training.arguments.ineffective import INEFFECTIVE, check_freeze
from tests.conftest import Toy, char_network

FOLLOWED = (
    "model data epochs time patience batch imgsz save_period device project name exist_ok pretrained cls_remap "
    "optimizer verbose seed deterministic cos_lr resume amp profile freeze compile split save_json conf iou max_det "
    "plots visualize agnostic_nms save_txt save_conf show_labels show_conf lr0 lrf momentum weight_decay "
    "warmup_epochs warmup_momentum warmup_bias_lr distill_model dis box cls cls_pw dfl nbs degrees translate scale "
    "shear perspective flipud fliplr"
).split()
"""By this trainer, or by Ultralytics for it."""

OTHER: dict[str, Any] = {
    "cache": "ram", "workers": 4, "rect": True, "channels_last": False, "fraction": 0.5, "classes": [1], "val": False,
    "single_cls": True, "cfg": "mine.yaml", "task": "pose", "mode": "val", "augment": True, "overlap_mask": False,
    "mask_ratio": 2, "retina_masks": True, "source": "x.png", "vid_stride": 2, "stream_buffer": True, "embed": [1],
    "tracker": "botsort.yaml", "dnn": True, "show": True, "save_frames": True, "save_crop": True, "show_boxes": False,
    "line_width": 2, "format": "onnx", "optimize": True, "dynamic": True, "simplify": False, "opset": 12,
    "workspace": 2.0, "copy_paste_mode": "mixup", "auto_augment": "augmix", "close_mosaic": 3, "nms": False,
    "quantize": 16, "save": False,
}  # fmt: skip
"""A value that is none of those in force; 0.7 for the others, which are shares and gains."""


def train(toy: Toy, **arguments: Any) -> None:
    detector.train(toy.report.data_yaml, **{"model": str(char_network()), "device": "cpu", **arguments})


def test_of_every_argument_it_is_known_whether_it_is_followed() -> None:
    assert sorted([*FOLLOWED, *INEFFECTIVE]) == sorted(DEFAULT_CFG_DICT)


@pytest.mark.parametrize("name", INEFFECTIVE)
def test_a_value_that_changes_nothing_is_an_error(toy: Toy, name: str) -> None:
    value = OTHER.get(name, 0.7)
    with pytest.raises(ArgumentError, match=rf"^{name}=.* is not followed: .*Leave out what changes nothing"):
        train(toy, **{name: value})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"warmup_momentum": 0.5}, "warmup_momentum has no effect: optimizer=AdamW"),
        ({"optimizer": "auto", "lr0": 0.1}, "lr0 has no effect: optimizer=auto chooses it"),
        ({"dis": 3.0}, "dis=3.0 has no effect without distill_model"),
        ({"save_conf": True}, "save_conf=True has no effect without save_txt"),
        ({"show_conf": False}, "show_conf=False has no effect without visualize"),
        ({"time": 0.5, "epochs": 3}, "epochs=3 has no effect: time=0.5 says when training ends"),
        ({"mosaic": 1.0, "workers": 4}, r"mosaic=1.0 is not followed: .*; workers=4 is not followed: "),
        ({"scale": [0.5, 1.5]}, "scale=.*give one number"),
        ({"freeze": "0,1,2"}, "freeze='0,1,2': give how many first layers"),
        ({"freeze": True}, "freeze=True: give how many"),
        ({"freeze": -1}, "freeze=-1: the network has"),
        ({"freeze": 99}, "freeze=99: the network has"),
        ({"freeze": []}, r"freeze=\[\]: give how many"),
        ({"freeze": [0, 99, "backbone"]}, "the network has no layer 99, backbone"),
    ],
)
def test_values_in_vain(toy: Toy, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        train(toy, **arguments)


def test_all_layers_are_too_many() -> None:
    names = ["model.0.conv.weight", "model.1.conv.weight"]
    with pytest.raises(ArgumentError, match="nothing would be left to train"):
        check_freeze([0, 1], names)
    check_freeze([0], names)
    check_freeze(["1.conv"], names)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("0,1,2", [0, 1, 2]), ("[0,1]", [0, 1]), ("3", 3), ("0,4.cv1", [0, "4.cv1"]), ("4.cv1", ["4.cv1"])],
)
def test_layers_as_they_are_written(written: str, meant: Any) -> None:
    assert parse_arguments([f"freeze={written}"])["freeze"] == meant


def test_layers_that_are_frozen_stay_as_they_were(toy: Toy, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from detector.data.sets.yolo_dataset import read_set
    from detector.training.arguments.defaults import training_arguments
    from detector.training.trainer import prepared_trainer

    monkeypatch.chdir(tmp_path)
    given = parse_arguments(["freeze=0,1,2"])
    overrides = training_arguments(read_set(toy.root), {"model": str(char_network()), "device": "cpu", **given})
    trainer = prepared_trainer(overrides)
    learns = {name.split(".")[1]: value.requires_grad for name, value in trainer.model.named_parameters()}
    assert [learns[layer] for layer in ("0", "1", "2", "3")] == [False, False, False, True]
