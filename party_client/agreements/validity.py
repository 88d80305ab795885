"""Whether an agreement's time has come, by the clock that the caller hands in.

The enclave judges by the time its NSM signs, never by a computer's clock; here a party judges for itself, so
that a wrong clock is noticed before anything is signed or sent. Every sentence names both times, because a
clock that is a day off looks just like an agreement that is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from party_client.agreements.errors import ExpiredError, NotYetValidError
from protos.formats.agreement import Agreement
from protos.formats.errors import FormatError

NOT_YET: Final = "not-yet-valid"
VALID: Final = "valid"
EXPIRED: Final = "expired"
SUSPECT_CLOCK: Final = timedelta(days=2)
"""This close to a limit, a wrong clock is as likely as a wrong date."""


@dataclass(frozen=True)
class Validity:
    """The agreement's period, and how it stands to `now`."""

    state: str
    """`NOT_YET`, `VALID` or `EXPIRED`."""
    valid_from: datetime
    valid_until: datetime
    """Exclusive."""
    now: datetime

    @property
    def clock_is_suspect(self) -> bool:
        """Whether `now` is within `SUSPECT_CLOCK` of a limit."""
        return any(abs(self.now - limit) <= SUSPECT_CLOCK for limit in (self.valid_from, self.valid_until))

    @property
    def sentence(self) -> str:
        """For people."""
        clock = f"this computer's clock says {_shown(self.now)}"
        if self.state == NOT_YET:
            return f"not valid before {_shown(self.valid_from)}; {clock}"
        if self.state == EXPIRED:
            return f"expired at {_shown(self.valid_until)}; {clock}"
        return f"valid from {_shown(self.valid_from)} until {_shown(self.valid_until)}; {clock}"


def validity(agreement: Agreement, *, now: datetime) -> Validity:
    """How `agreement` stands at `now` (aware). Raises `FormatError` for times beyond the year 9999."""
    try:
        begins = datetime.fromtimestamp(agreement.valid_from_s, UTC)
        ends = datetime.fromtimestamp(agreement.valid_until_s, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise FormatError("validity: a time beyond the year 9999") from error
    state = NOT_YET if now < begins else VALID if now < ends else EXPIRED
    return Validity(state, begins, ends, now.astimezone(UTC))


def require_not_expired(agreement: Agreement, *, now: datetime) -> Validity:
    """Enough for signing, which may happen in advance. Raises `ExpiredError`."""
    found = validity(agreement, now=now)
    if found.state == EXPIRED:
        raise ExpiredError(
            f"agreement {agreement.id}: {found.sentence}", hint=_hint(found, "agree anew, with a later end")
        )
    return found


def require_valid(agreement: Agreement, *, now: datetime) -> Validity:
    """Enough for sending data. Raises `ExpiredError` or `NotYetValidError`."""
    found = require_not_expired(agreement, now=now)
    if found.state == NOT_YET:
        raise NotYetValidError(
            f"agreement {agreement.id}: {found.sentence}", hint=_hint(found, "wait until it begins")
        )
    return found


def _hint(found: Validity, otherwise: str) -> str:
    if found.clock_is_suspect:
        return f"compare this computer's clock with another one first; if it is right, {otherwise}"
    return f"{otherwise}; or set this computer's clock, if it is wrong"


def _shown(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
