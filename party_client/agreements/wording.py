"""The words for parts of an agreement: what each is called, how its values read, which way a change points.

Values come from canonical bytes of an agreement that has been parsed; nothing here fails on them.
"""

from __future__ import annotations

import hashlib
from fractions import Fraction
from typing import Any, Final

from party_client.attestation.emulator import UNSIGNED_EMULATOR
from party_client.times import time_text
from protos.release.roots import UNSIGNED_EMULATOR_SHA256

_SINGULAR: Final = {
    "analysts": "analyst",
    "columns": "column",
    "datasets": "dataset",
    "keys": "key",
    "parameters": "parameter",
    "parties": "party",
    "privacy": "privacy budget of",
    "queries": "query",
    "releases": "release",
}
_READABLE: Final = {
    "run_by": "who may ask",
    "used_by": "who may use it",
    "approved_by": "who has to approve every use",
    "max_uses": "uses at most",
    "max_values": "identifiers at most",
    "receivers": "who receives",
    "valid_from_s": "valid from",
    "valid_until_s": "valid until",
    "signing_key": "signing key",
    "receiving_key": "receiving key",
    "privacy_unit": "privacy unit",
    "max_runs": "runs at most",
    "max_rows": "rows at most",
    "max_bytes": "bytes at most",
    "memory_mib": "memory (MiB)",
    "root_sha256": "root of trust",
    "release_quorum": "parties who may change releases",
    "kms": "key in KMS",
    "role": "enclave's role",
    "authorities": "who vouches for the endpoint",
    "witnesses": "who witnesses",
    "many_to_many": "many-to-many joins",
    "sql": "SQL",
    "single_units": "threshold of 1 meant",
    "joined_with": "joined with one of",
    "only_queries": "only the queries",
    "max_rows_per_unit": "rows of one unit at most",
    "min_rows": "rows at least",
    "min_units": "privacy units at least",
    "opt_out": "opt-out list",
    "per_day": "runs in any 24 hours",
    "per_week": "runs in any 7 days",
    "per_month": "runs in any 30 days",
}
_SHOWN_BYTES: Final = 8
_SHOWN_CHARACTERS: Final = 200

LOOSER: Final = "looser"
STRICTER: Final = "stricter"
_MORE_IS_LOOSER: Final = frozenset(
    {
        *("max_runs", "valid_until_s", "high", "many_to_many", "single_units"),
        *("max_rows_per_unit", "max_uses", "max_values", "per_day", "per_week", "per_month"),
    }
)
_LESS_IS_LOOSER: Final = frozenset({"threshold", "valid_from_s", "low", "min_rows", "min_units"})
_MEMBERS: Final = frozenset(
    {"analyses", "choices", "joined_with", "only_queries", "receivers", "run_by", "used_by", "uses"}
)
_NOT_MADE: Final = frozenset(
    {
        *("clamp", "joined_with", "max_rows_per_unit", "opt_out", "receivers"),
        *("per_day", "per_week", "per_month"),
    }
)
"""Rules that stand there as null when nobody makes them."""
_GRANTS: Final = frozenset({"keys", "queries", "releases"})
_TAKING_AWAY: Final = frozenset({"approved_by", "forbidden"})
"""Sets that let less happen the more there is in them."""


def noun(path: tuple[str, ...]) -> str:
    """("datasets", "flights", "threshold") → "dataset flights, threshold"."""
    parts: list[str] = []
    rest = [key for key in path if key != "rules"]
    while rest:
        key = rest.pop(0)
        if key in _SINGULAR and rest:
            parts.append(f"{_SINGULAR[key]} {rest.pop(0)}")
        else:
            parts.append(_READABLE.get(key, key))
    return ", ".join(parts)


def names_of(items: list[dict[str, Any]], key: str) -> dict[str, dict[str, Any]]:
    """The items by name. Releases may share one: then a piece of the measurement is added to it."""
    names = [item[key] for item in items]
    if len(set(names)) == len(names):
        return dict(zip(names, items, strict=True))
    return {f"{item[key]} ({item['pcr0'].hex()} {item['root_sha256'].hex()})": item for item in items}


def value_text(key: str, value: Any) -> str:
    """One value for a person: times as dates, bytes by their beginning, lists with commas."""
    if value is None or value in ([], {}):
        return "none"
    if isinstance(value, dict):
        return ", ".join(f"{_READABLE.get(name, name)} {_item_text(item)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(_item_text, value))
    return _single_text(key, value)


def _single_text(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key == "root_sha256" and value == UNSIGNED_EMULATOR_SHA256:
        return UNSIGNED_EMULATOR
    if isinstance(value, bytes):
        return f"{value[:_SHOWN_BYTES].hex()}…"
    if key.endswith("_s"):
        return time_text(value)
    return f"{value:,}" if isinstance(value, int) else repr(value)[:_SHOWN_CHARACTERS]


def _item_text(item: Any) -> str:
    """A value inside another: of noise, domains are lists of lists and weights a map."""
    if isinstance(item, bytes):  # a certificate, which begins like any other
        return f"SHA-256 {hashlib.sha256(item).hexdigest()[:16]}…"
    return f"({value_text('', item)})" if isinstance(item, list | dict) else str(item)


def direction(path: tuple[str, ...], before: Any, after: Any) -> str:
    """`LOOSER` when the change lets more happen, `STRICTER` when less, empty when neither is certain."""
    if path[0] == "privacy":
        return _privacy_direction(path, before, after)
    if path[0] == "queries" and "noise" in path[2:3]:
        return ""  # whatever it is, budgets bound what all runs show
    if len(path) == 2 and path[0] in _GRANTS:
        return _either(before is None, after is None)
    if path[-1] == "kms" and None in (before, after):
        return _either(before is None, after is None)  # with it data may wait for enclaves yet to come
    if path[-1] == "root_sha256":
        return _either(after == UNSIGNED_EMULATOR_SHA256, before == UNSIGNED_EMULATOR_SHA256)
    return _rule_direction(path, before, after)


def _rule_direction(path: tuple[str, ...], before: Any, after: Any) -> str:
    key = path[-1]
    if key in _NOT_MADE and None in (before, after):
        return _either(after is None, before is None)
    if isinstance(before, list) and isinstance(after, list):
        return _set_direction(key, before, after)
    if "clamp" in path and isinstance(before, str) and isinstance(after, str):
        before, after = int(before.replace(".", "")), int(after.replace(".", ""))
    if isinstance(before, int) and isinstance(after, int):
        if key in _LESS_IS_LOOSER:
            before, after = after, before
        elif key not in _MORE_IS_LOOSER:
            return ""
        return _either(after > before, after < before)
    return _either(after == "phases", after == "nothing") if key == "logged" else ""


def _privacy_direction(path: tuple[str, ...], before: Any, after: Any) -> str:
    """An owner with a budget lets no exact result leave; one without lets all that rules and queries say."""
    if before is None or after is None:
        return _either(after is None, before is None)
    if path[-1] in ("epsilon", "delta"):
        return _either(Fraction(after) > Fraction(before), Fraction(after) < Fraction(before))
    return ""


def _set_direction(key: str, before: list[str], after: list[str]) -> str:
    if key not in _MEMBERS | _TAKING_AWAY:
        return ""  # of domains for one, which are lists of lists
    gained, lost = set(after) - set(before), set(before) - set(after)
    if key in _TAKING_AWAY:
        return _either(lost, gained)
    # Into custom or out of it there are other queries than before: whether more depends on which.
    return "" if "custom" in gained | lost else _either(gained, lost)


def _either(looser: object, stricter: object) -> str:
    return LOOSER if looser else STRICTER if stricter else ""
