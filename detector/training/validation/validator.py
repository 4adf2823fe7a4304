"""The validator: strings are read and compared, beside Ultralytics' own metrics of boxes."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist

from detector.networks.nms_torch import candidates, prediction
from detector.networks.ultralytics.library import LOGGER, RANK, DetectionValidator
from detector.text.decode import decode_batch
from detector.text.metrics import TextScore, score_texts
from detector.text.reading_config import ReadingConfig
from detector.training.validation.evidence import CER, EXACT_MATCH


class TextValidator(DetectionValidator):  # type: ignore[misc]
    """Validation that reads strings: exact match and CER beside mAP, and exact match as the fitness."""

    config: ReadingConfig
    trainer: Any
    """The :class:`detector.training.trainer.TextTrainer` whose network is validated."""

    def __call__(self, trainer: Any = None, model: Any = None, **named: Any) -> Any:
        """Validate the network in training; or the file ``model``, as Ultralytics does at the end, in its place.

        So the best weights are read on the same pictures, device and arithmetic as those of each epoch.
        """
        if model is None:
            return super().__call__(trainer, **named)
        self.trainer.put_in_place(model)
        return super().__call__(self.trainer) or {}  # only the first process has results

    def init_metrics(self, model: torch.nn.Module) -> None:
        """Reset the counts."""
        super().init_metrics(model)
        self.texts = TextScore(0, 0, 0, 0)
        self.read: list[str] = []

    def postprocess(self, preds: Any) -> list[dict[str, torch.Tensor]]:
        """Read the strings from the raw predictions, then suppress as Ultralytics does, for mAP."""
        detections = candidates(prediction(preds))
        width = float(self.dataloader.dataset.shape_hw[1])
        self.read = [r.text for r in decode_batch(detections, self.config, [width] * len(detections))]
        suppressed: list[dict[str, torch.Tensor]] = super().postprocess(preds)
        return suppressed

    def update_metrics(self, preds: list[dict[str, torch.Tensor]], batch: dict[str, Any]) -> None:
        """Compare the batch's strings."""
        super().update_metrics(preds, batch)
        self.texts += score_texts(batch["text"], self.read, self.config.space)

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
        """Return metrics by name; best.pt follows ``fitness``."""
        stats: dict[str, Any] = super().get_stats()
        stats[EXACT_MATCH] = self.texts.exact_match
        stats[CER] = self.texts.cer
        # Among equally right epochs the lower error rate wins, then the tighter boxes.
        stats["fitness"] = self.texts.exact_match - 0.01 * self.texts.cer + 1e-4 * float(stats.get("fitness") or 0.0)
        return stats

    def get_desc(self) -> str:
        """Return the head of the progress line."""
        return str(("%22s" + "%11s" * 5) % ("Validation", "Images", "exact", "CER", "mAP50-95", "time left"))

    def print_results(self) -> None:
        """Log one line a validation."""
        values = (self.seen, self.texts.exact_match, self.texts.cer, self.metrics.mean_results()[3])
        LOGGER.info(("%22s" + "%11i" + "%11.4f" * 3 + "%11s") % ("all", *values, self.trainer.time_left()))
