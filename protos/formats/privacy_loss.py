"""What runs have cost owners' privacy budgets, exactly: in receipts, and in the answer to what is left.

Losses are whole numbers of 2^-160 (`protos.privacy.loss`), which 64 bits do not hold, so they travel as
decimal text. Pure values that check themselves; raises `FormatError`. Follows `protos/README.md`, "Budget".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from protos.formats.canonical import Value, require_fields, require_text
from protos.formats.errors import FormatError
from protos.formats.identifiers import require_slug
from protos.formats.privacy import NOISE_KINDS, NoiseKind

_UNITS_MAX_CHARACTERS: Final = 60
_UNITS: Final = re.compile(r"0|[1-9][0-9]*")


@dataclass(frozen=True)
class LossUnits:
    """A privacy loss in whole units of 2^-160."""

    amount: int
    """rho with gaussian noise, epsilon with laplace noise."""
    delta: int
    """What selecting group keys from the data adds."""

    def __post_init__(self) -> None:
        for units in (self.amount, self.delta):
            if units < 0 or len(str(units)) > _UNITS_MAX_CHARACTERS:
                raise FormatError(f"privacy loss: expected 0 or more, in {_UNITS_MAX_CHARACTERS} digits")

    def is_within(self, other: LossUnits) -> bool:
        """Whether it is in no respect more than `other`."""
        return self.amount <= other.amount and self.delta <= other.delta

    def to_value(self) -> Value:
        """As it stands in claims and statements."""
        return {"amount": str(self.amount), "delta": str(self.delta)}

    @classmethod
    def from_value_untrusted(cls, value: Value) -> LossUnits:
        """Inverse of `to_value`."""
        fields = require_fields(value, frozenset({"amount", "delta"}), what="privacy loss")
        return cls(_units(fields["amount"]), _units(fields["delta"]))


@dataclass(frozen=True)
class PrivacySpent:
    """What is spent of one owner's budget, and how much there is in all, in one enclave life."""

    owner: str
    noise: NoiseKind
    spent: LossUnits
    allowed: LossUnits

    def __post_init__(self) -> None:
        _require_account(self.owner, self.noise)
        if not self.spent.is_within(self.allowed):
            raise FormatError(f"privacy of {self.owner}: more is spent than the budget allows")

    @property
    def left(self) -> LossUnits:
        """What later runs may cost."""
        return LossUnits(self.allowed.amount - self.spent.amount, self.allowed.delta - self.spent.delta)

    def to_value(self) -> Value:
        """As it stands in a statement."""
        return {
            "owner": self.owner,
            "noise": self.noise,
            "spent": self.spent.to_value(),
            "allowed": self.allowed.to_value(),
        }

    @classmethod
    def from_value_untrusted(cls, value: Value) -> PrivacySpent:
        """Inverse of `to_value`."""
        fields = require_fields(value, frozenset({"owner", "noise", "spent", "allowed"}), what="privacy")
        return cls(
            owner=fields["owner"],
            noise=fields["noise"],
            spent=LossUnits.from_value_untrusted(fields["spent"]),
            allowed=LossUnits.from_value_untrusted(fields["allowed"]),
        )


@dataclass(frozen=True)
class PrivacyCharge:
    """What one run cost one owner, and where that left the owner's budget."""

    cost: LossUnits
    after: PrivacySpent
    """With this run."""

    def __post_init__(self) -> None:
        if self.cost.amount == 0 or not self.cost.is_within(self.after.spent):
            raise FormatError(f"privacy of {self.after.owner}: a run costs something, at most what is spent")

    def to_value(self) -> Value:
        """As it stands in claims."""
        return {"cost": self.cost.to_value(), "after": self.after.to_value()}

    @classmethod
    def from_value_untrusted(cls, value: Value) -> PrivacyCharge:
        """Inverse of `to_value`."""
        fields = require_fields(value, frozenset({"cost", "after"}), what="privacy charge")
        return cls(
            LossUnits.from_value_untrusted(fields["cost"]), PrivacySpent.from_value_untrusted(fields["after"])
        )


def _units(value: Value) -> int:
    text = require_text(value, what="privacy loss", max_characters=_UNITS_MAX_CHARACTERS)
    # Digits of the text alone: int() would take other scripts' as well.
    if not _UNITS.fullmatch(text):
        raise FormatError(f"privacy loss: got {text!r}, expected a whole number without leading zeros")
    return int(text)


def _require_account(owner: Value, noise: Value) -> None:
    require_slug(owner, what="privacy: owner")
    if noise not in NOISE_KINDS:
        raise FormatError(f"privacy of {owner}: got noise {str(noise)[:64]!r}, expected one of {NOISE_KINDS}")
