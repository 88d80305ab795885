"""How conditions on an enclave combine, and which insecure ones can be asked for by name (steps 8 to 11).

A policy is judged after the document has been found genuine and fresh. An empty one cannot be made, and the
verifier refuses one that leaves open which code may run. What is insecure says so in its name: nothing is let
through by leaving something out. Specification: protocol, "Attestation, as a party checks it".
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from party_client.attestation.document import AttestationDocument
from party_client.attestation.emulator import Anchor
from party_client.attestation.errors import AttestationError, NoAlternativeError, PolicyError


class Policy(ABC):
    """A condition on a genuine document. `str()` says it in words."""

    @property
    def decides_measurements(self) -> bool:
        """Whether this condition answers which code may run."""
        return False

    @property
    def permits_debug(self) -> bool:
        """Whether an enclave in debug mode may pass."""
        return False

    @abstractmethod
    def require(self, document: AttestationDocument, root: Anchor) -> None:
        """Raises an `AttestationError` unless `document`, vouched for by `root`, meets the condition."""

    @abstractmethod
    def __str__(self) -> str: ...


@dataclass(frozen=True)
class AnyMeasurementUnsafe(Policy):
    """UNSAFE: whatever code. The document is genuine; what the enclave does is unknown."""

    @property
    def decides_measurements(self) -> bool:
        """Yes, in so many words: any."""
        return True

    def require(self, document: AttestationDocument, root: Anchor) -> None:
        """Nothing is required."""

    def __str__(self) -> str:
        return "UNSAFE: any measurement"


@dataclass(frozen=True)
class AllowDebugUnsafe(Policy):
    """UNSAFE: an enclave in debug mode may pass. Its operator reads along; its code is not measured."""

    @property
    def permits_debug(self) -> bool:
        """Yes."""
        return True

    def require(self, document: AttestationDocument, root: Anchor) -> None:
        """Nothing is required."""

    def __str__(self) -> str:
        return "UNSAFE: debug mode allowed"


@dataclass(frozen=True)
class AllOf(Policy):
    """Every one of `policies` holds."""

    policies: Sequence[Policy]

    def __post_init__(self) -> None:
        object.__setattr__(self, "policies", _require_some(self.policies, "AllOf"))

    @property
    def decides_measurements(self) -> bool:
        """If any of them does: adding a condition never widens."""
        return any(policy.decides_measurements for policy in self.policies)

    @property
    def permits_debug(self) -> bool:
        """If any of them says so."""
        return any(policy.permits_debug for policy in self.policies)

    def require(self, document: AttestationDocument, root: Anchor) -> None:
        """Raises what the first failing policy raises."""
        for policy in self.policies:
            policy.require(document, root)

    def __str__(self) -> str:
        return " and ".join(f"({policy})" for policy in self.policies)


@dataclass(frozen=True)
class AnyOf(Policy):
    """At least one of `policies` holds. It decides, or permits, only what every alternative does."""

    policies: Sequence[Policy]

    def __post_init__(self) -> None:
        object.__setattr__(self, "policies", _require_some(self.policies, "AnyOf"))

    @property
    def decides_measurements(self) -> bool:
        """If all of them do: one that does not would let any code through."""
        return all(policy.decides_measurements for policy in self.policies)

    @property
    def permits_debug(self) -> bool:
        """If all of them say so."""
        return all(policy.permits_debug for policy in self.policies)

    def require(self, document: AttestationDocument, root: Anchor) -> None:
        """Raises `NoAlternativeError` with the reason of each."""
        reasons = []
        for policy in self.policies:
            try:
                policy.require(document, root)
            except AttestationError as error:
                reasons.append(error.message)
            else:
                return
        raise NoAlternativeError(f"none of {len(reasons)} alternatives holds: {'; '.join(reasons)}")

    def __str__(self) -> str:
        return " or ".join(f"({policy})" for policy in self.policies)


def _require_some(policies: Sequence[Policy], name: str) -> tuple[Policy, ...]:
    if not policies:
        raise PolicyError(f"{name}: got no policies, expected at least one")
    return tuple(policies)
