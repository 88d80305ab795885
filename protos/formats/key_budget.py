"""How much of a key of the ring is left: uses in all and in sliding windows, identifiers in all.

Windows slide as those of runs do (`protos.formats.budget`). Values check themselves; raises `FormatError`.
Follows `protos/README.md`, "Budget".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protos.formats.canonical import Value, require_fields, require_int, require_list
from protos.formats.errors import FormatError
from protos.formats.identifiers import require_slug
from protos.formats.key_ring import VALUES_MAX, AgreedKey
from protos.formats.query import RUNS_MAX

USES_WINDOW, VALUES_WINDOW = "uses", "values"
KEY_WINDOWS: Final = (USES_WINDOW, "day", "week", "month", VALUES_WINDOW)
"""All uses, those in sliding windows, and identifiers in all uses."""


@dataclass(frozen=True)
class KeyLeft:
    """How much a window still lets through at some time: uses, or identifiers."""

    window: str
    limit: int
    left: int

    def __post_init__(self) -> None:
        if self.window not in KEY_WINDOWS:
            raise FormatError(f"key: got another window than one of {list(KEY_WINDOWS)}")
        most = VALUES_MAX if self.window == VALUES_WINDOW else RUNS_MAX
        require_int(self.limit, what="key: limit", low=1, high=most)
        require_int(self.left, what="key: left", high=self.limit)

    def to_value(self) -> Value:
        """As it stands in a statement."""
        return {"window": self.window, "limit": self.limit, "left": self.left}

    @classmethod
    def from_value_untrusted(cls, value: Value) -> KeyLeft:
        """Inverse of `to_value`."""
        return cls(**require_fields(value, frozenset({"window", "limit", "left"}), what="key window"))


@dataclass(frozen=True)
class KeyBudget:
    """What is left of one key."""

    key: str
    windows: tuple[KeyLeft, ...]

    def to_value(self) -> Value:
        """As it stands in a statement."""
        return {"key": self.key, "windows": [window.to_value() for window in self.windows]}

    @classmethod
    def from_value_untrusted(cls, value: Value) -> KeyBudget:
        """Inverse of `to_value`."""
        fields = require_fields(value, frozenset({"key", "windows"}), what="key budget")
        windows = require_list(fields["windows"], what="windows", max_items=len(KEY_WINDOWS), min_items=1)
        return cls(
            key=require_slug(fields["key"], what="key"),
            windows=tuple(map(KeyLeft.from_value_untrusted, windows)),
        )


def key_limits(key: AgreedKey) -> dict[str, int]:
    """Window → how much, for every window that limits `key`, in the order of `KEY_WINDOWS`."""
    asked = {
        USES_WINDOW: key.max_uses,
        "day": key.per_day,
        "week": key.per_week,
        "month": key.per_month,
        VALUES_WINDOW: key.max_values,
    }
    return {window: most for window, most in asked.items() if most is not None}
