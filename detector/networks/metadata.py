"""What an exported file says about itself, beside Ultralytics' own metadata."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from typing import Any

from detector.data.sets.yolo_dataset import CONFIG_KEY
from detector.errors import WeightsError
from detector.text.reading_config import ReadingConfig

SOURCE_KEY = "detector_source"
"""Where an exported file says which weights it was made of: their SHA-256."""

INT8_KEY = "detector_int8"
"""Where an exported file says that it computes in 8-bit integers, and so may read other strings; missing in others."""


def metadata_for(config: ReadingConfig, source: str) -> dict[str, str]:
    """Return what an exported file of this config carries, beside Ultralytics' own metadata."""
    return {CONFIG_KEY: json.dumps(config.to_dict(), ensure_ascii=False), SOURCE_KEY: source}


def config_in(metadata: Mapping[str, Any]) -> ReadingConfig | None:
    """Return the config in an exported file's metadata, or None where plain ``yolo export`` made it."""
    config_json = metadata.get(CONFIG_KEY)
    return None if config_json is None else ReadingConfig.from_dict(json.loads(config_json))


def names_in(metadata: Mapping[str, Any]) -> dict[int, str]:
    """Return the class names in Ultralytics' metadata, which is text in some formats.

    Raises:
        WeightsError: if there are none.
    """
    entry = metadata.get("names")
    try:
        names_by_id = ast.literal_eval(entry) if isinstance(entry, str) else dict(entry or {})
        names = {int(i): str(name) for i, name in names_by_id.items()}
    except (ValueError, SyntaxError, AttributeError, TypeError):
        names = {}
    if not names:
        raise WeightsError("The file does not name its classes: export it with `detector export` or `yolo export`.")
    return names
