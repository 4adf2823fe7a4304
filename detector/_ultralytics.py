"""The only importer of Ultralytics: its switches, the trainer, the validator, its networks."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
import sys
import warnings
from collections.abc import Collection, Iterator
from copy import copy
from dataclasses import replace
from pathlib import Path
from threading import Lock
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import PIL.Image
import torch
import torch.distributed as dist

from detector import augment_torch, backends
from detector.augment import Augment, Policy, from_dict
from detector.augment_plan import BatchAugment
from detector.cache import cache_folder
from detector.decode import decode_batch
from detector.detections import CharDetections
from detector.device import fast_bfloat16, pick_device, to_device
from detector.errors import ArgumentError, DetectorError, SourceError, WeightsError
from detector.fit import DEFAULT_SHAPE_HW, STRIDE, scaled
from detector.metrics import TextScore, score_texts
from detector.rules import ReadingRules
from detector.text_data import TextDataset, TextLoader
from detector.torch_output import candidates, prediction
from detector.work import whole
from detector.yolo_format import RULES_KEY, read_set

log = logging.getLogger("detector")


START = "start.pt"
"""In the folder of a run's weights: those that it started from."""


def _switch_network_off() -> None:
    """Ultralytics asks the network for its address, newer versions, fonts and packages: not from here."""
    os.environ["YOLO_OFFLINE"] = "1"
    os.environ["YOLO_AUTOINSTALL"] = "0"
    os.environ.setdefault("YOLO_VERBOSE", "true")
    folder = Path(os.environ.setdefault("YOLO_CONFIG_DIR", str(cache_folder()))) / "Ultralytics"
    import matplotlib

    font = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("Arial.ttf", "Arial.Unicode.ttf"):
            if not (folder / name).exists():
                shutil.copyfile(font, folder / name)
    except OSError:  # a read-only home: plots are then drawn without a font
        return


_switch_network_off()

_image_open = PIL.Image.open
with contextlib.redirect_stdout(sys.stderr):  # its first start says so; stdout is for results
    import ultralytics
    from ultralytics.cfg import DEFAULT_CFG_DICT, check_dict_alignment, get_cfg, get_save_dir
    from ultralytics.data.loaders import LoadStreams
    from ultralytics.engine import validator as validator_module
    from ultralytics.engine.exporter import Exporter
    from ultralytics.models.yolo.detect import DetectionTrainer, DetectionValidator
    from ultralytics.nn.autobackend import AutoBackend
    from ultralytics.nn.tasks import DetectionModel, load_checkpoint, yaml_model_load
    from ultralytics.utils import LOGGER, RANK
    from ultralytics.utils.files import get_latest_run, increment_path
    from ultralytics.utils.torch_utils import ModelEMA, intersect_dicts

PIL.Image.open = _image_open  # Ultralytics' own wants pi-heif for every file that Pillow cannot identify

for _handler in LOGGER.handlers:
    if isinstance(_handler, logging.StreamHandler):
        _handler.setStream(sys.stderr)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Ultralytics says only what goes wrong."""
    level = LOGGER.level
    LOGGER.setLevel(logging.ERROR)
    try:
        yield
    finally:
        LOGGER.setLevel(level)


class TextValidator(DetectionValidator):  # type: ignore[misc]
    """Validation that reads strings: exact match and CER beside mAP, and exact match as the fitness."""

    rules: ReadingRules

    def init_metrics(self, model: torch.nn.Module) -> None:
        """Start counting anew."""
        super().init_metrics(model)
        self.texts = TextScore(0, 0, 0, 0)
        self.read: list[str] = []

    def postprocess(self, preds: Any) -> list[dict[str, torch.Tensor]]:
        """Read the strings from the raw predictions, then suppress as Ultralytics does, for mAP."""
        found = candidates(prediction(preds))
        width = float(self.dataloader.dataset.images.shape[2])
        self.read = [r.text for r in decode_batch(found, self.rules, [width] * len(found))]
        suppressed: list[dict[str, torch.Tensor]] = super().postprocess(preds)
        return suppressed

    def update_metrics(self, preds: list[dict[str, torch.Tensor]], batch: dict[str, Any]) -> None:
        """Compare the batch's strings."""
        super().update_metrics(preds, batch)
        self.texts += score_texts(batch["text"], self.read, self.rules.blank)

    def gather_stats(self) -> None:
        """Merge the counts of all processes."""
        super().gather_stats()
        if RANK == 0:
            gathered: list[Any] = [None] * dist.get_world_size()
            dist.gather_object(self.texts, gathered, dst=0)
            self.texts = sum(gathered[1:], gathered[0])
        elif RANK > 0:
            dist.gather_object(self.texts, None, dst=0)

    def get_stats(self) -> dict[str, Any]:
        """Metrics by name; best.pt follows ``fitness``."""
        stats: dict[str, Any] = super().get_stats()
        stats["metrics/exact_match"] = self.texts.exact_match
        stats["metrics/CER"] = self.texts.cer
        # Among equally right epochs the lower error rate wins, then the tighter boxes.
        stats["fitness"] = self.texts.exact_match - 0.01 * self.texts.cer + 1e-4 * float(stats.get("fitness") or 0.0)
        return stats

    def get_desc(self) -> str:
        """Head of the progress line."""
        return str(("%22s" + "%11s" * 4) % ("Validation", "Images", "exact", "CER", "mAP50-95"))

    def print_results(self) -> None:
        """One line a validation."""
        values = (self.seen, self.texts.exact_match, self.texts.cer, self.metrics.mean_results()[3])
        LOGGER.info(("%22s" + "%11i" + "%11.4f" * 3) % ("all", *values))


class TextTrainer(DetectionTrainer):  # type: ignore[misc]
    """Ultralytics' trainer on a converted set: pictures of one shape, text-safe augmentation, strings compared."""

    last: Path
    best: Path
    augment_on: str | None = None
    """How pictures are changed: "device" a batch at a time, "picture" one at a time; None: "picture" where the user's
    own transforms want that."""

    def __init__(self, cfg: Any = None, overrides: dict[str, Any] | None = None, _callbacks: Any = None) -> None:
        overrides = dict(overrides or {})
        self.cpu_ranks = RANK >= 0 and pick_device(overrides.get("device")).type == "cpu"
        if self.cpu_ranks:  # Ultralytics knows several processes on GPUs only
            _join_cpu_ranks(overrides)
        super().__init__(cfg or DEFAULT_CFG_DICT, overrides, _callbacks)
        if self.cpu_ranks:
            self.world_size = dist.get_world_size()
        self.characters = read_set(self.args.data)
        shape_hw = self.characters.rules.shape_hw
        if shape_hw is None:
            raise DetectorError(f"{self.args.data} does not say the network's shape: convert again.")
        self.shape_hw = scaled(shape_hw, int(self.args.imgsz) / max(shape_hw))
        self.rules = replace(self.characters.rules, shape_hw=self.shape_hw)

    def get_dataloader(self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train") -> TextLoader:
        """Batches of the split that ``mode`` names."""
        training = mode == "train"
        dataset = TextDataset(self.characters, "train" if training else self.args.split, self.shape_hw)
        return TextLoader(
            dataset, batch_size, training=training, augment=self._augment() if training else None, seed=self.args.seed,
            rank=rank, device=self.device, drop_last=training and bool(self.args.compile),
        )  # fmt: skip

    def _augment(self) -> Augment | BatchAugment:
        """The declared policy with this run's arguments; a list given as ``augmentations`` joins its geometry."""
        args = self.args
        given = getattr(args, "augmentations", None)  # no default of `yolo train`'s: there only where it was given
        policy = Policy(
            args.degrees, args.translate, args.scale, args.shear, args.perspective, args.fliplr, args.flipud,
            photometric=0.0 if given == [] else 1.0,
        )  # fmt: skip
        where = self.augment_on or ("picture" if given else "device")
        if where == "device" and given:
            raise DetectorError("augmentations=[…] are done one picture at a time: leave them out, or augment=device.")
        if where == "device":
            return BatchAugment(policy, args.seed)
        more = [from_dict(t) for t in given or ()]  # the trainer holds them as dicts
        return Augment(policy, args.seed, more)

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
        """The network, its classes carried over from the weights by their symbols."""
        if not self.args.cls_remap:
            return super().get_model(cfg, weights, verbose)
        net = super().get_model(cfg, None, verbose)
        if weights is not None:
            _load_by_symbol(net, weights, verbose)
        return net

    def set_model_attributes(self) -> None:
        """Also lay the weights out channels last: three times faster convolutions on a CPU."""
        super().set_model_attributes()
        self.model: Any = self.model.to(memory_format=torch.channels_last)

    def _setup_ddp(self) -> None:
        if not self.cpu_ranks:
            super()._setup_ddp()

    def _setup_train(self) -> None:
        # On the CPU the wrapper wants no device_ids, and Ultralytics always gives some.
        with (
            mock.patch("torch.nn.parallel.DistributedDataParallel", _OnCpu)
            if self.cpu_ranks
            else contextlib.nullcontext()
        ):
            super()._setup_train()
        if self.device.type == "cpu" and fast_bfloat16() and self.args.amp not in (False, "fp32"):
            self.amp = True  # torch's CPU autocast is bfloat16; the scaler, made before, stays off
        self.train_loader.epoch = self.start_epoch

    def final_eval(self) -> None:
        """Validate the best weights; processes on the CPU do it there."""
        there = mock.patch.multiple(validator_module, **_VALIDATE_ON_CPU)
        with there if self.cpu_ranks else contextlib.nullcontext():
            super().final_eval()

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """To the device, as float in [0, 1], and changed there where a plan says how."""
        plan = batch.pop("plan", None)
        batch = super().preprocess_batch(batch)
        if plan is not None:
            batch["img"] = augment_torch.apply(plan, batch["img"])
        batch["img"] = batch["img"].contiguous(memory_format=torch.channels_last)
        return batch

    def save_model(self) -> bool:
        """Checkpoints appear whole: one that Ctrl-C cuts off could not be resumed."""
        paths: tuple[Path, Path] = self.last, self.best
        parts = self.last, self.best = [path.with_name(path.name + ".part") for path in paths]
        try:
            saved = bool(super().save_model())
            for part, path in zip(parts, paths, strict=True):
                if part.exists():  # the best one only if it is the best
                    part.replace(path)
            return saved
        finally:
            self.last, self.best = paths
            for part in parts:
                part.unlink(missing_ok=True)

    def get_validator(self) -> TextValidator:
        """A validator that knows the rules."""
        made = TextValidator(self.test_loader, save_dir=self.save_dir, args=copy(self.args), _callbacks=self.callbacks)
        made.rules = self.rules
        return made


class _OnCpu(torch.nn.parallel.DistributedDataParallel):
    """The wrapper for processes on the CPU."""

    def __init__(self, module: torch.nn.Module, device_ids: Any = None, **named: Any) -> None:
        super().__init__(module, **named)


_VALIDATE_ON_CPU: dict[str, Any] = {
    # With several processes the validator takes the current GPU for granted.
    "get_torch_device_backend": lambda _: SimpleNamespace(current_device=lambda: 0),
    "AutoBackend": lambda *args, device, **named: AutoBackend(*args, device=torch.device("cpu"), **named),
}


def _join_cpu_ranks(overrides: dict[str, Any]) -> None:
    """Meet the other processes that ``torchrun`` started (gloo), and agree on the run's folder."""
    if not dist.is_initialized():
        dist.init_process_group("gloo")
    folder = [str(get_save_dir(get_cfg(DEFAULT_CFG_DICT, overrides))) if RANK == 0 else None]
    dist.broadcast_object_list(folder, src=0)
    overrides["save_dir"] = folder[0]


def check_arguments(arguments: dict[str, Any]) -> None:
    """Refuse what `yolo train` would not know, in its words, and what makes no sense for text.

    Raises:
        ArgumentError: naming the argument.
    """
    try:
        with _quiet():  # it would show all of its own help first
            check_dict_alignment(DEFAULT_CFG_DICT, arguments)
        known = {name: value for name, value in arguments.items() if name in DEFAULT_CFG_DICT}
        get_cfg(DEFAULT_CFG_DICT, known)
    except (SyntaxError, TypeError, ValueError) as error:
        raise ArgumentError(str(error).split("Arguments received")[0].strip()) from None
    if arguments.get("time") is not None and not arguments["time"] > 0:
        raise ArgumentError(f"time={arguments['time']}: give hours, more than 0, or leave it out.")
    if arguments.get("batch") == 0:
        raise ArgumentError("batch=0: give pictures of a step, 1 or more, or leave it out.")
    if not isinstance(imgsz := arguments.get("imgsz", STRIDE), int) or imgsz < 1:
        raise ArgumentError(f"imgsz={imgsz!r}: give one number, the longer side; the set says its shape.")
    if arguments.get("single_cls"):
        raise ArgumentError("single_cls=True: the characters are the classes, and there would be one; leave it out.")
    if cfg := arguments.get("cfg"):
        raise ArgumentError(f"cfg={cfg}: such a file would replace what text needs: give its values as NAME=VALUE.")


def _short(error: Exception) -> str:
    """What went wrong, without Ultralytics' advice to download other weights."""
    cause = error.__cause__ or error.__context__ or error
    return f"{type(cause).__name__}: {str(cause).splitlines()[0] if str(cause) else 'no more is said'}"


def check_start(model: str) -> None:
    """Refuse what training cannot start from: a ``.pt`` that is there, or a structure, also one of Ultralytics' own.

    Raises:
        WeightsError: saying why not.
    """
    path = Path(model)
    try:
        if path.suffix in (".yaml", ".yml"):
            yaml_model_load(model)
            return
        if path.suffix.lower() == ".pt" and path.is_file():
            load_checkpoint(model)
            return
    except Exception as error:  # whatever pickle and YAML meet
        raise WeightsError(f"{model} is nothing to start training from ({_short(error)}).") from error
    there = "is no .pt or .yaml file" if path.is_file() else "is not there, and nothing is downloaded"
    raise WeightsError(f"{model} {there}: give weights (.pt), a structure such as yolo26n.yaml, or leave it out.")


def latest_run() -> Path:
    """The checkpoint of the newest run below this folder, which ``resume=True`` goes on with.

    Raises:
        DetectorError: if there is none.
    """
    found = get_latest_run()
    if not found:
        raise DetectorError(f"There is no run to resume below {Path.cwd()}: give resume=RUN/weights/last.pt.")
    return Path(found)


def check_resumable(path: Path) -> None:
    """Refuse what is no checkpoint of a run that was stopped.

    Raises:
        DetectorError: saying what it is.
    """
    try:
        held = torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:  # whatever pickle meets
        raise DetectorError(f"{path} is no checkpoint: {error}") from None
    if not isinstance(held, dict) or held.get("optimizer") is None or held.get("epoch", -1) < 0:
        raise DetectorError(
            f"{path} is of a run that is finished, or was never one: there is nothing to resume. To train on from it, "
            f"start a new run with model={path}."
        )


def run_trainer(overrides: dict[str, Any], augment_on: str | None = None) -> TextTrainer:
    """Train, or resume where ``overrides['resume']`` says; the finished trainer."""
    # A class of its own, since the class is all that Ultralytics hands on to the processes that it starts.
    kind = type("TextTrainer", (TextTrainer,), {"augment_on": augment_on})
    with contextlib.redirect_stdout(sys.stderr):  # its progress bars
        trainer: TextTrainer = kind(overrides=overrides)
        if RANK in (-1, 0) and not overrides.get("resume"):
            kept = trainer.wdir / START
            kept.unlink(missing_ok=True)  # of another run in this folder (exist_ok)
            if str(overrides["model"]).endswith(".pt"):
                with whole(kept) as part:
                    shutil.copyfile(overrides["model"], part)
        try:
            trainer.train()
        except NotImplementedError as error:
            if not str(error).startswith("Optimizer"):
                raise
            raise DetectorError(str(error).split("Request support")[0].strip()) from None
    if trainer.cpu_ranks:
        dist.destroy_process_group()
    return trainer


def start_of(trainer: TextTrainer) -> Path | None:
    """The weights that a run started from, also one that was resumed; None where it started from nothing."""
    kept = trainer.wdir / START
    return kept if kept.is_file() else None


def write_mean(taught: Path, start: Path, share: float, symbols: str, target: Path) -> Path:
    """Weights between two, for :class:`Network` and :func:`publish`.

    Args:
        taught: of a run.
        start: what it started from; classes are carried over by their symbols.
        share: of ``start``, 0 to 1; classes and tensors that it does not have stay as they were taught.
        symbols: of ``taught``, in class-id order.
        target: file to write.
    """
    held, _ = load_checkpoint(str(taught))
    held = held.float()
    own = held.state_dict()
    before = new_network(symbols, None, start).state_dict()
    known = {*load_checkpoint(str(start))[0].names.values()}
    new = [_known_as(symbol, known) is None for symbol in symbols]
    mean = {
        name: tensor.lerp(before[name].to(tensor), share) if tensor.is_floating_point() else tensor
        for name, tensor in own.items() if name in before and before[name].shape == tensor.shape
    }  # fmt: skip
    for name in mean.keys() & _of_classes(held):
        mean[name][new] = own[name][new]
    held.load_state_dict({**own, **mean})
    with whole(target) as part:
        torch.save({"model": held, "train_args": held.args}, part)
    return target


def prepared_trainer(overrides: dict[str, Any], augment_on: str | None = None) -> TextTrainer:
    """A trainer with model, optimizer and loaders, before its first step, and silent: for measuring."""
    with _quiet():
        trainer = TextTrainer(overrides=overrides)
        trainer.augment_on = augment_on
        trainer._setup_train()
    trainer.epoch = 0
    trainer.model.train()
    return trainer


def validate_once(trainer: TextTrainer) -> None:
    """One validation of a trainer that has taken a step, silent."""
    with _quiet(), contextlib.redirect_stdout(io.StringIO()):
        trainer.validator(trainer)


def free_path(path: Path, exist_ok: bool) -> Path:
    """The path, or with a number if something is there and may not be replaced, as runs get theirs."""
    return Path(increment_path(path, exist_ok))


def publish(checkpoint: Path, target: Path, rules: ReadingRules, facts: dict[str, Any]) -> None:
    """Write weights to hand around: the network in half precision, the rules, nothing of this machine."""
    model, _ = load_checkpoint(str(checkpoint))
    model = model.float().to(memory_format=torch.contiguous_format).half().eval()
    model.criterion = None
    model.args = {"task": "detect", "imgsz": max(rules.shape_hw or DEFAULT_SHAPE_HW)}
    model.names = dict(enumerate(rules.symbols))
    model.pt_path = target.name  # Ultralytics notes the whole path that it was loaded from
    for parameter in model.parameters():
        parameter.requires_grad = False
    held = {
        "model": model,
        "ema": None,
        "optimizer": None,
        "epoch": -1,
        "train_args": dict(model.args),
        "version": ultralytics.__version__,
        "license": "AGPL-3.0-or-later",
        RULES_KEY: {**rules.to_dict(), "facts": facts},
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole(target) as part:
        torch.save(held, part)


def new_network(symbols: str, structure: Path | None, start: Path | None) -> Any:
    """A network that is to be taught these symbols, for :func:`detector.loop.learn`.

    Args:
        symbols: in class-id order.
        structure: a ``.yaml``; None takes that of ``start``.
        start: weights (``.pt``), whose classes are carried over by their symbols; None starts from nothing.
    """
    held: Any = None if start is None else load_checkpoint(str(start))[0]
    with _quiet():  # it says that the number of classes is another one
        net = DetectionModel(held.yaml if structure is None else str(structure), nc=len(symbols), verbose=False)
    net.names = dict(enumerate(symbols))
    if held is not None:
        own = net.state_dict()
        known = len(intersect_dicts(held.state_dict(), own))
        if known < 0.9 * len(own):
            log.warning("only %d of the network's %d tensors are in %s too: the others are new", known, len(own), start)
        _load_by_symbol(net, held)
    net.args = get_cfg()
    return net


def _load_by_symbol(net: Any, held: Any, verbose: bool = False) -> None:
    """Load weights, their classes carried over by their symbols.

    Ultralytics carries them over by name. But it takes a small letter for its capital also where there are both, and
    "0", "1", "2" in this order for no names: so it is shown others.
    """
    named, of_held = net.names, held.names
    known = {*of_held.values()}
    net.names = {i: _code_points(_known_as(name, known) or name) for i, name in named.items()}
    held.names = {i: _code_points(name) for i, name in of_held.items()}
    try:
        net.load(held, verbose=verbose)
    finally:
        net.names, held.names = named, of_held


def _known_as(symbol: str, known: Collection[str]) -> str | None:
    """The class that a symbol starts from: its own, or the same letter's in the other case; None where it is new."""
    return next((one for one in (symbol, symbol.upper(), symbol.lower()) if one in known), None)


def _code_points(name: str) -> str:
    return " ".join(f"U+{ord(sign):04X}" for sign in name)


def _of_classes(net: Any) -> set[str]:
    """Names of the tensors that have a row for each class."""
    head, place = net.model[-1], len(net.model) - 1
    branches = [(name, getattr(head, name, None) or ()) for name in ("cv3", "one2one_cv3")]
    return {
        f"model.{place}.{name}.{i}.{len(layers) - 1}.{part}"
        for name, branch in branches for i, layers in enumerate(branch) for part in ("weight", "bias")
    }  # fmt: skip


def averaged(net: torch.nn.Module) -> Any:
    """A moving average of a network's weights: its ``ema``, after each ``update``."""
    return ModelEMA(net, decay=0.999, tau=500)


def _rules(held: dict[str, Any] | None) -> ReadingRules | None:
    """What :func:`publish` wrote; None where plain ``yolo train`` made the checkpoint."""
    return None if held is None else ReadingRules.from_dict({k: v for k, v in held.items() if k != "facts"})


class Network:
    """Weights of any format that Ultralytics knows, as a function from fitted pictures to candidates.

    Raises:
        WeightsError: if they cannot be opened.
    """

    names: dict[int, str]
    shape_hw: tuple[int, int] | None = None
    _run: Any

    def __init__(self, path: Path, device: torch.device) -> None:
        self.device, self._one_at_a_time = device, Lock()
        try:
            if path.suffix.lower() == ".pt":
                with _quiet():  # it tells the layers of what it fuses
                    model, held = load_checkpoint(str(path), fuse=True)
                self.rules = _rules(held.get(RULES_KEY))
            else:
                backend = AutoBackend(model=str(path), device=device, fp16=False, verbose=False)
                self.names = backend.names
                self._run = backend
                self.rules = backends.rules_in(backend.backend.metadata)
                if not backend.dynamic and getattr(backend, "imgsz", None):
                    self.shape_hw = (int(backend.imgsz[0]), int(backend.imgsz[1]))
        except Exception as error:  # each backend has errors of its own
            raise WeightsError(
                f"{path} cannot be opened as weights: it is damaged, or none ({_short(error)})."
            ) from error
        if path.suffix.lower() == ".pt":  # after that: what goes wrong on the device is not the file's fault
            self._hold(model.to(device))

    def _hold(self, model: Any) -> None:
        self.names = model.names
        model.end2end = False
        self._run = model.eval().to(memory_format=torch.channels_last)

    @classmethod
    def of(cls, net: Any, device: torch.device) -> Network:
        """One of :func:`new_network` that was taught; it is not to be taught any further."""
        made = cls.__new__(cls)
        made.device, made.rules, made._one_at_a_time = device, None, Lock()
        net.criterion = None
        made._hold(net.to(device).fuse(verbose=False))
        return made

    def __call__(self, images: np.ndarray[Any, Any]) -> list[CharDetections]:
        """Candidates in pixels of the fitted pictures, uint8 (n, H, W, 3) BGR."""
        return candidates(self.output(images))

    @torch.inference_mode()
    def output(self, images: np.ndarray[Any, Any]) -> torch.Tensor:
        """Raw output (n, 4 + classes, places) of fitted pictures: cx, cy, w, h in their pixels, scores."""
        with self._one_at_a_time:  # a reader may be shared by threads, and the head keeps what suits the last shape
            return prediction(self._run(to_device(images, self.device, flip=True)))


def write_exported(
    weights: Path, folder: Path, kind: str, shape_hw: tuple[int, int], metadata: dict[str, str], device: str
) -> Path:
    """Export through Ultralytics: raw output, any number of pictures at once, ``metadata`` beside its own.

    Args:
        weights: a ``.pt`` file.
        folder: to write in.
        kind: "onnx", "openvino" or "engine".
        shape_hw: of the pictures that it is traced with.
        metadata: entries of the file's metadata, or of the ``metadata.yaml`` beside it.
        device: as Ultralytics spells it.

    Returns:
        The file or folder.
    """
    model, _ = load_checkpoint(str(weights))
    model.pt_path = str(folder / weights.name)  # what it writes goes beside
    most = {"batch": backends.MOST_AT_ONCE} if kind == "engine" else {}  # TensorRT plans for a largest batch
    overrides = {"format": kind, "imgsz": list(shape_hw), "dynamic": True, "device": device, "simplify": False, **most}
    if kind == "openvino":
        backends.import_openvino()
        del overrides["simplify"]
    with _quiet(), contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of its own ways to trace
        exporter = Exporter(overrides=overrides)
        exporter.add_callback("on_export_start", lambda exporter: exporter.metadata.update(metadata))
        return Path(exporter(model=model))


def live_frames(source: str) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """(name, picture) of each frame of cameras and network streams as they come; late ones are passed over.

    Args:
        source: a camera's index, an address, or a ``.streams`` file that lists some.

    Raises:
        SourceError: if one cannot be opened.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            loader = LoadStreams(source)
    except (OSError, ValueError) as error:
        raise SourceError(f"{source} cannot be opened as a camera or stream ({error}).") from error
    try:
        for number, (names, images, _) in enumerate(loader, 1):
            for name, image in zip(names, images, strict=True):
                yield f"{name}#{number}", image
    finally:
        loader.close()
