"""A request to run one query of the agreement, signed by somebody whom the agreement lets ask.

The run id makes a request idempotent: the same id gives the same run. The signature is by the asker's key
from the agreement, so the coordinator can carry a request but not make one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from protos.formats import limits
from protos.formats.canonical import decode_map_untrusted, encode, require_bytes
from protos.formats.errors import FormatError
from protos.formats.identifiers import DIGEST_BYTES, ENCLAVE_ID_BYTES, RUN_ID_BYTES, require_slug
from protos.formats.query import PARAMETERS_MAX, ParameterValue

RUN_REQUEST_LABEL: Final = "concordat/run-request/v1"


@dataclass(frozen=True)
class RunRequest:
    """Which query, with which parameters, in which enclave life, asked for by whom."""

    run_id: bytes
    agreement_digest: bytes
    enclave_id: bytes
    query: str
    requested_by: str
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Canonical bytes, signed as COSE type `RUN_REQUEST_LABEL`."""
        return encode(
            {
                "label": RUN_REQUEST_LABEL,
                "run": self.run_id,
                "agreement": self.agreement_digest,
                "enclave": self.enclave_id,
                "query": self.query,
                "requested_by": self.requested_by,
                "parameters": dict(self.parameters),
            }
        )

    @classmethod
    def decode_untrusted(cls, data: bytes) -> RunRequest:
        """Parse the payload of a signed request; whether it is allowed is the enclave's check."""
        fields = decode_map_untrusted(
            data,
            label=RUN_REQUEST_LABEL,
            keys=frozenset({"run", "agreement", "enclave", "query", "requested_by", "parameters"}),
            max_bytes=limits.RUN_REQUEST_MAX_BYTES,
        )
        return cls(
            run_id=require_bytes(fields["run"], what="run id", length=RUN_ID_BYTES),
            agreement_digest=require_bytes(fields["agreement"], what="agreement digest", length=DIGEST_BYTES),
            enclave_id=require_bytes(fields["enclave"], what="enclave id", length=ENCLAVE_ID_BYTES),
            query=require_slug(fields["query"], what="query"),
            requested_by=require_slug(fields["requested_by"], what="requested_by"),
            parameters=require_parameters_untrusted(fields["parameters"]),
        )


def require_parameters_untrusted(value: object) -> dict[str, ParameterValue]:
    """A map from names to integers or texts; whether the values are allowed is the query's check."""
    if not isinstance(value, dict) or len(value) > PARAMETERS_MAX:
        raise FormatError(f"parameters: expected a map of at most {PARAMETERS_MAX}")
    for name, item in value.items():
        require_slug(name, what="parameter name")
        if type(item) not in (int, str):
            raise FormatError(f"parameter {name}: got {type(item).__name__}, expected an integer or a text")
    return value
