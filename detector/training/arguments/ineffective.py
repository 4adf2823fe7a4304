"""Arguments of `yolo train` that change nothing here: another value than the one that is in force is an error."""

from __future__ import annotations

from typing import Any

from detector.errors import ArgumentError

_OTHERWISE = "text is augmented in its own way, see docs/commands.md"
_PACKED = "pictures are packed once, all of one shape"
_ALL = "all of the set is trained on; convert fewer pictures"
_OTHER_TASK = "it is of another task than detection"
_OTHER_MODE = "it is no matter of training"

AUGMENTATIONS = (
    "mosaic", "mixup", "cutmix", "copy_paste", "erasing", "hsv_h", "hsv_s", "hsv_v", "multi_scale", "bgr"
)  # fmt: skip
"""Augmentations of `yolo train` that tear text apart or are done otherwise here: all are off."""

INEFFECTIVE: dict[str, tuple[tuple[Any, ...], str]] = {
    **dict.fromkeys(AUGMENTATIONS, ((0, None), _OTHERWISE)),
    "close_mosaic": ((0, 10), _OTHERWISE),
    **dict.fromkeys(("copy_paste_mode", "auto_augment"), ((), _OTHERWISE)),
    "cache": ((), _PACKED), "workers": ((0,), _PACKED), "rect": ((), _PACKED),
    "channels_last": ((True, None), "weights and pictures lie channels last"),
    "fraction": ((), _ALL), "classes": ((), _ALL),
    "val": ((), "the strings that are read tell which weights to publish"),
    "save": ((), "a run goes on, and its weights are chosen, by its checkpoints"),
    "single_cls": ((), "the characters are the classes, and there would be one"),
    "cfg": ((), "such a file would replace what text needs: give its values as NAME=VALUE"),
    "nms": ((None, True), "overlapping boxes are suppressed in validation, whatever the network could do without"),
    "quantize": ((None, 8, "8", "int8"), "8 alone is of training"),
    "task": (("detect",), "characters are detected"),
    "mode": (("train",), "this is training"),
    "augment": ((), "give augment=device or augment=picture"),
    **dict.fromkeys(("overlap_mask", "mask_ratio", "dropout", "retina_masks"), ((), _OTHER_TASK)),
    **dict.fromkeys(("pose", "kobj", "rle", "angle", "dlog", "dgrad", "dlam"), ((), _OTHER_TASK)),
    **dict.fromkeys(("source", "vid_stride", "stream_buffer", "embed", "tracker", "dnn"), ((), _OTHER_MODE)),
    **dict.fromkeys(("show", "save_frames", "save_crop", "show_boxes", "line_width"), ((), _OTHER_MODE)),
    **dict.fromkeys(("format", "optimize", "dynamic", "simplify", "opset", "workspace"), ((), _OTHER_MODE)),
}  # fmt: skip
"""Values that say what is done anyway, `yolo train`'s own default where there are none; why no other is followed."""

_NEEDS = {
    "dis": "distill_model", "save_conf": "save_txt", "visualize": "plots", "show_labels": "visualize",
    "show_conf": "visualize",
}  # fmt: skip
"""Arguments that change nothing without another one."""

_WITH_MOMENTUM = ("SGD", "MuSGD", "RMSprop")
"""Optimizers whose momentum rises in the warm-up."""


def check_effect(arguments: dict[str, Any], defaults: dict[str, Any], optimizer: str) -> None:
    """Refuse values that have no effect.

    Args:
        arguments: that were given.
        defaults: of `yolo train`.
        optimizer: in force where none is given.

    Raises:
        ArgumentError: naming all of them.
    """
    faults = [
        f"{name}={arguments[name]} is not followed: {why}"
        for name, (in_force, why) in INEFFECTIVE.items()
        if name in arguments and arguments[name] not in (in_force or (defaults.get(name),))
    ]
    optimizer = str(arguments.get("optimizer", optimizer))
    if "warmup_momentum" in arguments and optimizer not in _WITH_MOMENTUM:
        faults.append(f"warmup_momentum has no effect: optimizer={optimizer} has none that rises")
    if optimizer == "auto":
        names_set = [name for name in ("lr0", "momentum", "warmup_bias_lr") if name in arguments]
        faults += [f"{name} has no effect: optimizer=auto chooses it" for name in names_set]
    if arguments.get("time") and "epochs" in arguments:
        faults.append(f"epochs={arguments['epochs']} has no effect: time={arguments['time']} says when training ends")
    faults += [
        f"{name}={arguments[name]} has no effect without {needed}"
        for name, needed in _NEEDS.items()
        if arguments.get(name, defaults.get(name)) != defaults.get(name) and not arguments.get(needed)
    ]
    if faults:
        raise ArgumentError("; ".join(faults) + ". Leave out what changes nothing.")


def check_freeze(freeze: Any, parameters: list[str]) -> None:
    """Refuse a ``freeze`` that freezes nothing, or everything.

    Args:
        freeze: as `yolo train` takes it: how many first layers, or a list of layers by number or name.
        parameters: names of the network's.

    Raises:
        ArgumentError: naming the layers that the network does not have.
    """
    count = 1 + max(int(name.split(".")[1]) for name in parameters)
    if isinstance(freeze, int) and not isinstance(freeze, bool):
        if not 0 <= freeze < count:
            raise ArgumentError(f"freeze={freeze}: the network has {count} layers: give 0 to {count - 1} of them.")
        return
    if not isinstance(freeze, list) or not freeze:
        raise ArgumentError(f"freeze={freeze!r}: give how many first layers, 0 to {count - 1}, or a list, as [0,1,2].")
    if missing := [str(layer) for layer in freeze if not _exists(layer, count, parameters)]:
        raise ArgumentError(
            f"freeze={freeze}: the network has no layer {', '.join(missing)}: give some of 0 to {count - 1}, or names "
            f"such as '{parameters[-1].removeprefix('model.').rpartition('.')[0]}'."
        )
    if all(any(f"model.{layer}." in name for layer in freeze) for name in parameters):
        raise ArgumentError(f"freeze={freeze}: nothing would be left to train: give fewer layers.")


def _exists(layer: Any, count: int, parameters: list[str]) -> bool:
    """Test whether a name is a layer with parameters."""
    if isinstance(layer, int) and not isinstance(layer, bool):
        return 0 <= layer < count
    return isinstance(layer, str) and any(f"model.{layer}." in name for name in parameters)
