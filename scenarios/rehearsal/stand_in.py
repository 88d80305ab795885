"""The agreement that is rehearsed: the same datasets, rules and queries, signed by throw-away identities.

An enclave runs nothing but an agreement that all parties signed, and nobody has signed the real one. What has
to differ is said in `changes`; every query and every dataset is the very same, and so is its digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from party_client.identity import Identity
from party_client.times import time_text
from protos.formats.agreement import Agreement
from protos.formats.participants import Participant, Release

_AN_HOUR_S: Final = 3_600
_A_WEEK_S: Final = 7 * 86_400


@dataclass(frozen=True)
class StandIn:
    """What is played instead of the real agreement."""

    agreement: Agreement
    identities: Mapping[str, Identity]
    """By participant id; made for this rehearsal and forgotten after it."""
    changes: tuple[str, ...]
    """In which ways it is not the real one, in words."""


def stand_in(agreement: Agreement, release: Release, *, now: datetime) -> StandIn:
    """The stand-in for `agreement`, on this computer's SIMULATED machine."""
    people = (*agreement.parties, *agreement.analysts)
    identities = {person.id: Identity.generate(person.id, person.name) for person in people}
    changes = [
        "identities: keys made for the rehearsal stand in for everybody's",
        f"release: this computer's SIMULATED machine ({release.name}) in place of {_names(agreement)}",
    ]
    begins_s, ends_s = agreement.valid_from_s, agreement.valid_until_s
    now_s = int(now.astimezone(UTC).timestamp())
    if not begins_s <= now_s - _AN_HOUR_S < now_s + _AN_HOUR_S < ends_s:
        begins_s, ends_s = now_s - _AN_HOUR_S, now_s + _A_WEEK_S
        changes.append(f"validity: from {time_text(begins_s)} until {time_text(ends_s)}, so that it runs now")
    bounds = agreement.limits
    if bounds.max_runs < len(agreement.queries):
        bounds = replace(bounds, max_runs=len(agreement.queries))
        changes.append(f"limits: {bounds.max_runs:,} runs in all, so that every query can run once")
    played = replace(
        agreement,
        parties=_with_keys(agreement.parties, identities),
        analysts=_with_keys(agreement.analysts, identities),
        releases=(release,),
        valid_from_s=begins_s,
        valid_until_s=ends_s,
        limits=bounds,
    )
    return StandIn(played, identities, tuple(changes))


def _names(agreement: Agreement) -> str:
    return ", ".join(release.name for release in agreement.releases)


def _with_keys(
    people: tuple[Participant, ...], identities: Mapping[str, Identity]
) -> tuple[Participant, ...]:
    return tuple(identities[person.id].public.participant() for person in people)
