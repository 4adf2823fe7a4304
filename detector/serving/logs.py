"""The log as JSON lines: one object a line, whatever a message holds."""

from __future__ import annotations

import json
import logging
import time

FIELDS = "fields"
"""Attribute of a log record with further members of its line; given by ``extra={FIELDS: {…}}``."""


class JsonFormatter(logging.Formatter):
    """``{"time": UTC, "level": …, "logger": …, "message": …}`` and the record's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one line."""
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
    """Make all logs of this process JSON lines on stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
