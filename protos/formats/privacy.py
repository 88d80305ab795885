"""Differential privacy as parties agree on it: what an owner allows over all runs, and how a query uses it.

A `PrivacyEntry` is an owner's rule about all its datasets: no exact result of them leaves. A `QueryNoise`
says how a query that reads such data comes by its groups. Decimals are text with one spelling for each value.
Pure values that check themselves; raises `FormatError`. What they cost and guarantee is worked out in
`protos/privacy` and `protos/plan/noise.py`. Follows `protos/README.md`, "Agreement".
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal, TypeAlias, get_args

from protos.formats import limits
from protos.formats.canonical import (
    INT64_LOW,
    Value,
    require_fields,
    require_int,
    require_list,
    require_text,
)
from protos.formats.errors import FormatError
from protos.formats.identifiers import require_slug

NoiseKind: TypeAlias = Literal["gaussian", "laplace"]
NOISE_KINDS: Final[tuple[NoiseKind, ...]] = get_args(NoiseKind)
Keys: TypeAlias = Literal["declared", "selected"]
KEYS: Final[tuple[Keys, ...]] = get_args(Keys)
DomainValue: TypeAlias = bool | int | str
DOMAINS_MAX: Final = 16
WEIGHT_MAX: Final = 1_000
_TEXT_MAX_CHARACTERS: Final = 256
_DECIMAL_MAX_CHARACTERS: Final = 43
_DECIMAL: Final = re.compile(r"(0|[1-9][0-9]?)(\.[0-9]{0,39}[1-9])?")


def exact_decimal(text: Value, *, what: str) -> Fraction:
    """The number that `text` spells: no sign, no exponent, no zero that could be left out."""
    require_text(text, what=what, max_characters=_DECIMAL_MAX_CHARACTERS)
    if not _DECIMAL.fullmatch(text):
        raise FormatError(
            f'{what}: got {text!r}, expected a decimal such as "1", "0.5" or "0.000001"',
            hint="no exponent, and no zero that could be left out",
        )
    return Fraction(text)


@dataclass(frozen=True)
class PrivacyEntry:
    """What may be learned about any one unit of an owner, over all runs of one enclave life."""

    owner: str
    epsilon: str
    delta: str
    """"0" only with laplace noise."""
    noise: NoiseKind

    def __post_init__(self) -> None:
        require_slug(self.owner, what="privacy: owner")
        where = f"privacy of {self.owner}"
        if self.noise not in NOISE_KINDS:
            raise FormatError(f"{where}: got noise {str(self.noise)[:64]!r}, expected one of {NOISE_KINDS}")
        epsilon = exact_decimal(self.epsilon, what=f"{where}: epsilon")
        if not limits.EPSILON_MIN <= epsilon <= limits.EPSILON_MAX:
            raise FormatError(
                f"{where}: got epsilon {self.epsilon}, expected from 0.000001 to {limits.EPSILON_MAX}",
                hint="common choices over all runs are 1 to 4",
            )
        delta = exact_decimal(self.delta, what=f"{where}: delta")
        is_pure = delta == 0 and self.noise == "laplace"
        if not is_pure and not limits.DELTA_MIN <= delta <= limits.DELTA_MAX:
            raise FormatError(
                f"{where}: got delta {self.delta}, expected from 10^-30 to 0.001",
                hint="take much less than 1 / number of people; a delta of 0 needs laplace noise",
            )

    def to_value(self) -> Value:
        """The entry as it stands in the agreement."""
        return {"owner": self.owner, "epsilon": self.epsilon, "delta": self.delta, "noise": self.noise}

    @classmethod
    def from_value_untrusted(cls, value: Value) -> PrivacyEntry:
        """Inverse of `to_value`."""
        keys = frozenset({"owner", "epsilon", "delta", "noise"})
        return cls(**require_fields(value, keys, what="privacy"))


@dataclass(frozen=True)
class QueryNoise:
    """How a query with noise comes by its groups, and how it divides its share among its outputs."""

    keys: Keys
    """`declared`: the combinations of `domains`, all of them and no others. `selected`: those groups whose
    noisy number of units is large enough."""
    domains: tuple[tuple[DomainValue, ...], ...] = ()
    """With declared keys, for each GROUP BY expression in order its values, ascending."""
    weights: tuple[tuple[str, int], ...] = ()
    """(output, weight) in ascending order, for outputs whose weight is not 1."""

    def __post_init__(self) -> None:
        if self.keys not in KEYS:
            raise FormatError(f"noise: got keys {str(self.keys)[:64]!r}, expected one of {KEYS}")
        if self.keys == "selected" and self.domains:
            raise FormatError(
                "noise: domains are for declared keys",
                hint='write keys = "declared", or leave out the domains',
            )
        require_list(list(self.domains), what="noise: domains", max_items=DOMAINS_MAX)
        for domain in self.domains:
            _require_domain(domain)
        if (cells := math.prod(map(len, self.domains))) > limits.NOISY_CELLS_MAX:
            raise FormatError(
                f"noise: the domains have {cells} combinations, expected at most {limits.NOISY_CELLS_MAX}",
                hint="group by fewer columns, or declare fewer values",
            )
        names = [require_slug(name, what="noise: weights") for name, _ in self.weights]
        if names != sorted(set(names)):
            raise FormatError("noise: weights must be in ascending order without repeats")
        for name, weight in self.weights:
            require_int(weight, what=f"noise: weight of {name}", low=2, high=WEIGHT_MAX)

    def to_value(self) -> Value:
        """The noise as it stands in the agreement."""
        domains = [list(domain) for domain in self.domains]
        return {"keys": self.keys, "domains": domains, "weights": dict(self.weights)}

    @classmethod
    def from_value_untrusted(cls, value: Value) -> QueryNoise:
        """Inverse of `to_value`."""
        fields = require_fields(value, frozenset({"keys", "domains", "weights"}), what="noise")
        domains = require_list(fields["domains"], what="noise: domains", max_items=DOMAINS_MAX)
        weights = fields["weights"]
        if not isinstance(weights, dict):
            raise FormatError(f"noise: weights: got {type(weights).__name__}, expected a map")
        return cls(
            keys=fields["keys"],
            domains=tuple(
                tuple(require_list(domain, what="noise: domain", max_items=limits.NOISY_CELLS_MAX))
                for domain in domains
            ),
            weights=tuple(sorted(weights.items())),
        )


def _require_domain(domain: tuple[DomainValue, ...]) -> None:
    kinds = {type(value) for value in domain}
    if len(kinds) != 1 or not kinds <= {bool, int, str}:
        raise FormatError("noise: a domain has at least one value, all texts, all whole numbers or all bools")
    for value in domain:
        if isinstance(value, str):
            require_text(value, what="noise: domain", max_characters=_TEXT_MAX_CHARACTERS)
        elif not isinstance(value, bool):
            require_int(value, what="noise: domain", low=INT64_LOW)
    if list(domain) != sorted(set(domain)):
        raise FormatError("noise: a domain must be in ascending order without repeats")
