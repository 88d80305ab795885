"""Times as people read them, whatever number an agreement says."""

from __future__ import annotations

from datetime import UTC, datetime


def time_text(seconds: int) -> str:
    """Seconds since 1970 as a date; a number where the calendar ends."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{seconds:,} seconds after 1970"


def validity_text(valid_from_s: int | None, valid_until_s: int | None) -> str:
    """Of a release: "from … until …", or as long as the agreement."""
    begin = "" if valid_from_s is None else f"from {time_text(valid_from_s)}"
    end = "" if valid_until_s is None else f"until {time_text(valid_until_s)}"
    return " ".join(filter(None, (begin, end))) or "as long as the agreement"
