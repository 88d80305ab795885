"""Fuzz target: a run request chooses only what the agreement's query allows, or is refused."""

from __future__ import annotations

from protos.formats import cose, limits
from protos.formats.errors import FormatError, SignatureError
from protos.formats.run_request import RUN_REQUEST_LABEL, RunRequest
from tests.conformance.formats.refused import messages_of
from tests.conformance.formats.samples import ANALYST, QUERY, run_request
from tests.fuzz.runner import run

SEEDS = messages_of("run-request", "signed-run-request")


def one_input(data: bytes) -> None:
    """Reads `data` as a request by somebody who may ask, and as a signed one by anybody."""
    try:
        request = RunRequest.decode_untrusted(data)
        assert request.encode() == data
        chosen = QUERY.require_parameters(request.parameters)
        assert -1 <= int(chosen["gust"]) <= 300
        assert chosen["unit"] in {"knots", "m/s"}
    except FormatError:
        pass
    try:
        cose.signer_untrusted(data, max_bytes=limits.RUN_REQUEST_MAX_BYTES, what="run request")
        payload = cose.verify_untrusted(
            data,
            typ=RUN_REQUEST_LABEL,
            public_key=ANALYST.signing_key,
            max_bytes=limits.RUN_REQUEST_MAX_BYTES,
        )
    except (FormatError, SignatureError):
        return
    assert payload == run_request().encode()


if __name__ == "__main__":
    run(one_input, seeds=SEEDS)
