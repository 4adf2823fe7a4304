"""The log as JSON lines: one object in each line, whatever a message contains."""

from __future__ import annotations

import json
import logging
import time

FIELDS = "fields"
"""Attribute of a log record with more members of its line, set by ``extra={FIELDS: {…}}``."""


class JsonFormatter(logging.Formatter):
    """Formats records as ``{"time": UTC, "level": …, "logger": …, "message": …}`` and the record's :data:`FIELDS`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{seconds}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, FIELDS, {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_as_json(level: int = logging.INFO) -> None:
    """Write all logs of this process to stderr as JSON lines."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
