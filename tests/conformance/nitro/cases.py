"""What a case is: bytes that somebody might present, and what a verifier has to say to them.

The cases themselves stand in `cases_cose`, `cases_fields` and `cases_chain`, one line each where that is
possible. `expect` is "valid" or the code of the refusal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tests.conformance.nitro.pki import Chain, make_chain
from tests.conformance.nitro.signing import AT, Pairs, document, encode_map, fields, sign

VALID = "valid"


class Laboratory:
    """Makes documents at the one instant of the vectors."""

    @cached_property
    def chain(self) -> Chain:
        return make_chain(AT)

    def fields(self, **changes: Any) -> Pairs:
        return fields(self.chain, AT, **changes)

    def signed(self, payload: bytes) -> bytes:
        return sign(self.chain.leaf, payload)

    def signed_fields(self, pairs: Pairs, *, indefinite: bool = True) -> bytes:
        return self.signed(encode_map(pairs, indefinite=indefinite))

    def document(self, *, indefinite: bool = True, **changes: Any) -> bytes:
        return document(self.chain, AT, indefinite=indefinite, **changes)

    def without(self, name: str) -> bytes:
        return self.signed_fields([pair for pair in self.fields() if pair[0] != name])

    def document_under(self, changes: dict[str, dict[str, Any]]) -> bytes:
        """A document under a chain in which some certificates say something else."""
        chain = make_chain(AT, **changes)
        return sign(chain.leaf, encode_map(fields(chain, AT)))


@dataclass(frozen=True)
class Case:
    name: str
    what: str
    expect: str
    make: Callable[[Laboratory], bytes]
    allow_debug: bool = False


@dataclass
class Cases:
    """Collects cases; names are file names, so none may come twice."""

    found: dict[str, Case] = field(default_factory=dict)

    def add(
        self,
        name: str,
        expect: str,
        what: str,
        make: Callable[[Laboratory], bytes],
        *,
        allow_debug: bool = False,
    ) -> None:
        assert name not in self.found, name
        self.found[name] = Case(name, what, expect, make, allow_debug)
