"""Structured logs: what happened, to which id, how it ended, and nothing that a dataset could show through.

Fields are ids, operations, codes and sizes; sizes are rounded up to a power of two (`bucketed`), because an
exact ciphertext size says how long somebody's rows are. One line per event on standard error, JSON or text.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final, Literal

Field = str | int | bool | None
LogFormat = Literal["json", "text"]

_LOGGER: Final = logging.getLogger("concordat.coordinator")
_TEXT_MAX_CHARACTERS: Final = 300


def event(name: str, /, *, level: int = logging.INFO, **fields: Field) -> None:
    """Write one line: the event's name and its fields, bytes already turned into hexadecimal or a bucket."""
    _LOGGER.log(level, name, extra={"fields": fields})


def problem(name: str, /, **fields: Field) -> None:
    """Like `event`, for what an operator should look at."""
    event(name, level=logging.WARNING, **fields)


def bucketed(n_bytes: int) -> int:
    """The least power of two that is not below `n_bytes` (0 stays 0)."""
    return 1 << (n_bytes - 1).bit_length() if n_bytes > 0 else 0


def configure(log_format: LogFormat) -> None:
    """Send the coordinator's events to standard error in `log_format`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if log_format == "json" else _Text())
    _LOGGER.handlers[:] = [handler]
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.propagate = False


def _fields(record: logging.LogRecord) -> dict[str, Field]:
    fields: dict[str, Field] = getattr(record, "fields", {})
    return {
        name: value[:_TEXT_MAX_CHARACTERS] if isinstance(value, str) else value
        for name, value in fields.items()
        if value is not None
    }


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        known = {"time": _time(record), "level": record.levelname.lower(), "event": record.getMessage()}
        return json.dumps(known | _fields(record))


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{name}={json.dumps(value)}" for name, value in _fields(record).items())
        return f"{_time(record)} {record.levelname.lower():7} {record.getMessage()} {fields}".rstrip()
