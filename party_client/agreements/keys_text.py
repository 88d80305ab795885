"""Keys of an agreement: read from the text that people write, and told to them in words before they sign.

What is told follows from the agreement's own values. It says what a key lets its users do, also what nobody
meant it for: whoever makes tokens can make them of guesses. Raises `AgreementTextError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from party_client.agreements.table import Table, located
from protos.formats.agreement import Agreement
from protos.formats.key_ring import DECRYPT, ENCRYPT, HMAC, SIGN, TOKENISE, AgreedKey

_REQUIRED = ("id", "kind", "uses", "used_by", "max_uses")
_OPTIONAL = ("approved_by", "per_day", "per_week", "per_month", "max_values", "normalise")


@dataclass(frozen=True)
class KeyCheck:
    """One key, in words."""

    id: str
    kind: str
    uses: tuple[str, ...]
    used_by: tuple[str, ...]
    approved_by: tuple[str, ...]
    bounds: str
    """How often, and for how many identifiers."""
    lets: tuple[str, ...]
    """What its users can do with it, and what could be concluded."""


def read_key(place: str, value: object) -> AgreedKey:
    """One `[[keys]]`."""
    table = Table(value, place, required=_REQUIRED, optional=_OPTIONAL)
    with located(place, f"key {table.text('id')}"):
        return AgreedKey(
            id=table.text("id"),
            kind=table.text("kind"),
            uses=frozenset(table.text_set("uses")),
            used_by=table.text_set("used_by"),
            max_uses=table.integer("max_uses"),
            approved_by=table.text_set("approved_by"),
            per_day=table.integer("per_day") if "per_day" in table else None,
            per_week=table.integer("per_week") if "per_week" in table else None,
            per_month=table.integer("per_month") if "per_month" in table else None,
            max_values=table.integer("max_values") if "max_values" in table else None,
            normalise=table.text("normalise", "none"),
        )


def key_checks(agreement: Agreement) -> tuple[KeyCheck, ...]:
    """Every key of the agreement."""
    return tuple(
        KeyCheck(
            id=key.id,
            kind=key.kind,
            uses=tuple(sorted(key.uses)),
            used_by=key.used_by,
            approved_by=key.approved_by,
            bounds=key_bounds(key),
            lets=tuple(_lets(key)),
        )
        for key in agreement.keys
    )


def key_bounds(key: AgreedKey) -> str:
    """ "at most 100 times, at most 5 in any 24 hours, at most 1,000 identifiers in all"."""
    spans = ((key.per_day, "24 hours"), (key.per_week, "7 days"), (key.per_month, "30 days"))
    values = [] if key.max_values is None else [f"at most {key.max_values:,} identifiers in all"]
    return ", ".join(
        [
            f"at most {key.max_uses:,} times",
            *(f"at most {uses:,} in any {span}" for uses, span in spans if uses is not None),
            *values,
        ]
    )


def _lets(key: AgreedKey) -> Iterator[str]:
    users = _listed(key.used_by)
    if key.approved_by:
        yield f"nothing happens with it without the signature of {_listed(key.approved_by)}, for every use"
    else:
        yield f"{users} need nobody's consent" if len(key.used_by) > 1 else f"{users} needs nobody's consent"
    if SIGN in key.uses:
        yield (
            f"{users} can have anything signed with it: the enclave does not look at what it signs, and "
            "whoever relies on a signature sees the key and not who asked"
        )
    if key.kind.startswith("rsa") and DECRYPT in key.uses:
        yield f"everybody can encrypt to its public half, and {users} can read whatever was"
    if ENCRYPT in key.uses and DECRYPT in key.uses:
        yield f"{users} can read whatever any of them has encrypted"
    elif key.kind.startswith("aes") and ENCRYPT in key.uses:
        yield "what is encrypted with it is never decrypted: nobody is agreed who may"
    elif key.kind.startswith("aes"):
        yield "it decrypts what it has encrypted, and nobody is agreed who may encrypt"
    if HMAC in key.uses:
        yield f"a code for a guess shows whether the guess is right: {users} can test a guess with every use"
    if TOKENISE in key.uses:
        yield from _lets_of_tokens(key, users)


def _lets_of_tokens(key: AgreedKey, users: str) -> Iterator[str]:
    yield (
        "equal identifiers get equal tokens, whoever asks: whoever has tokens of several can join them "
        "outside the enclave, where no rule of this agreement holds, and sees who is in both"
    )
    yield (
        f"{users} can make tokens of guesses, such as a list of known people, and look for them among the "
        f"tokens of others: at most {key.max_values:,} guesses"
    )


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
