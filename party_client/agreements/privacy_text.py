"""Reads differential privacy from the TOML that people write: `[[privacy]]`, and `noise` of a query.

Epsilon and delta are text, because TOML's own fractions are rounded in binary. The values of a domain and the
weights have no order that would mean anything, so they may be written in any. Raises `AgreementTextError`.
"""

from __future__ import annotations

from typing import cast

from party_client.agreements.errors import AgreementTextError
from party_client.agreements.table import Table, located
from protos.formats.privacy import DomainValue, Keys, NoiseKind, PrivacyEntry, QueryNoise


def read_privacy(place: str, value: object) -> PrivacyEntry:
    """One `[[privacy]]` table."""
    table = Table(value, place, required=("owner", "epsilon", "delta", "noise"))
    with located(place, f"privacy of {table.text('owner')}"):
        return PrivacyEntry(
            owner=table.text("owner"),
            epsilon=table.text("epsilon"),
            delta=table.text("delta"),
            # Whether it is one of them is checked where the value is made.
            noise=cast(NoiseKind, table.text("noise")),
        )


def read_noise(place: str, query: Table) -> QueryNoise | None:
    """`noise` of a `[[queries]]` table."""
    if "noise" not in query:
        return None
    place = f"{place}, noise"
    table = Table(dict(query.items("noise")), place, required=("keys",), optional=("domains", "weights"))
    keys = table.text("keys")
    if keys == "declared" and "domains" not in table:
        raise AgreementTextError(
            f"{place}: `domains` is missing",
            hint="for each GROUP BY expression in order, its possible values; [] without GROUP BY",
        )
    weights = []
    for name, weight in table.items("weights"):
        if type(weight) is not int:
            raise AgreementTextError(f"{place}: the weight of {name[:64]} must be a whole number")
        weights.append((name, weight))
    with located(place, "noise"):
        return QueryNoise(
            keys=cast(Keys, keys),
            domains=tuple(_domain(place, domain) for domain in table.lists("domains")),
            weights=tuple(sorted(item for item in weights if item[1] != 1)),
        )


def _domain(place: str, values: list[object]) -> tuple[DomainValue, ...]:
    kinds = {type(value) for value in values}
    if len(kinds) != 1 or not kinds <= {bool, int, str}:
        raise AgreementTextError(
            f"{place}: `domains`: the values of one are all texts, all whole numbers, or true and false"
        )
    if len(set(values)) != len(values):
        raise AgreementTextError(f"{place}: `domains` names a value twice")
    # All of one kind, as was just seen.
    return tuple(sorted(cast(list[str], values)))
