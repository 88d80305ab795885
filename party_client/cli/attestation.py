"""`concordat attestation`: verify a document, or show what it says.

Reads a file (or standard input) that may come from anybody. Exit codes: 0 verified (or shown), 1 refused,
2 wrong usage. A refusal is a `ConcordatError`, which the command line presents as `error:` and `hint:`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import click
from rich.console import Console

from party_client.attestation import (
    AllOf,
    AllowDebugUnsafe,
    AllowedMeasurements,
    AnyMeasurementUnsafe,
    AnyNonceUnsafe,
    AttestationError,
    Measurements,
    Policy,
    VerifiedAttestation,
    verify_now,
    verify_replay,
)
from party_client.attestation import explain as explain_document
from party_client.attestation.emulator import UNSIGNED_EMULATOR
from party_client.cli.present import emit, json_option, say, time, warn
from party_client.cli.trust import Trust, root_warning, trust_options
from protos.formats.limits import ATTESTATION_DOCUMENT_MAX_BYTES

_DOCUMENT_FILE: Final = click.Path(exists=True, dir_okay=False, allow_dash=True)
_Command = TypeVar("_Command", bound=Callable[..., Any])


class _Hex(click.ParamType[bytes]):
    """A byte string in hexadecimal digits, of a fixed length or of any up to 1,024 bytes."""

    name = "hex"

    def __init__(self, length_bytes: int | None = None) -> None:
        self.length_bytes = length_bytes

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        """Bytes, or a usage error."""
        try:
            data = bytes.fromhex(value)
        except ValueError:
            self.fail("expected hexadecimal digits", param, ctx)
        if self.length_bytes is not None and len(data) != self.length_bytes:
            self.fail(f"got {len(data)} bytes, expected {self.length_bytes}", param, ctx)
        return data


@click.group(name="attestation")
def group() -> None:
    """Verify attestation documents, or show what they say."""


def _what_to_trust(command: _Command) -> _Command:
    for option in (
        click.option("--pcr2", type=_Hex(48), help="Expected PCR2, 96 hexadecimal digits."),
        click.option("--pcr1", type=_Hex(48), help="Expected PCR1, 96 hexadecimal digits."),
        click.option("--pcr0", type=_Hex(48), help="Expected PCR0, 96 hexadecimal digits."),
        click.option("--any-measurement", is_flag=True, help="UNSAFE: accept an enclave that runs any code."),
        click.option("--allow-debug", is_flag=True, help="UNSAFE: accept an enclave in debug mode."),
    ):
        command = option(command)
    return trust_options(command)


@group.command()
@click.argument("file", type=_DOCUMENT_FILE)
@_what_to_trust
@click.option(
    "--nonce", type=_Hex(), help="The nonce that was sent; without it freshness rests on age alone."
)
@click.option(
    "--at-signed-time",
    is_flag=True,
    help="Verify an archived document at the time it was signed. Says nothing about now.",
)
@json_option
def verify(
    *,
    file: str,
    trust: Trust,
    allow_debug: bool,
    any_measurement: bool,
    pcr0: bytes | None,
    pcr1: bytes | None,
    pcr2: bytes | None,
    nonce: bytes | None,
    at_signed_time: bool,
    as_json: bool,
) -> None:
    """Verify the attestation document in FILE ("-" for standard input).

    The exit status is 0 if it is verified, 1 if it is refused.

    \b
    Example:
      concordat attestation verify document.cbor --at-signed-time \\
          --any-measurement
    """
    if at_signed_time and nonce is not None:
        raise click.UsageError(
            "--nonce proves freshness, which --at-signed-time does not ask for; leave one out"
        )
    code_wanted = _code_wanted((pcr0, pcr1, pcr2), any_measurement=any_measurement)
    document = _read(file, ATTESTATION_DOCUMENT_MAX_BYTES)
    try:
        policy = AllOf([code_wanted(), AllowDebugUnsafe()]) if allow_debug else code_wanted()
        roots = trust.anchors()
        if at_signed_time:
            verified = verify_replay(document, roots=roots, policy=policy)
        else:
            asked = AnyNonceUnsafe() if nonce is None else nonce
            verified = verify_now(document, roots=roots, nonce=asked, policy=policy, now=datetime.now(UTC))
    except AttestationError as error:
        refusal = {"verified": False, "code": error.code, "error": error.message, "hint": error.hint}
        emit(as_json, refusal, lambda _: None)  # in text, the refusal goes to standard error
        raise
    warnings = _warnings(verified, any_measurement=any_measurement)

    def render(out: Console) -> None:
        say(out, _text(verified))
        for warning in warnings:
            warn(out, warning)

    emit(as_json, _facts(verified, warnings), render)


@group.command()
@click.argument("file", type=_DOCUMENT_FILE)
@json_option
def explain(file: str, as_json: bool) -> None:
    """Show what the document in FILE ("-" for standard input) says.

    Verifies NOTHING.

    \b
    Example:
      concordat attestation explain document.cbor
    """
    explanation = explain_document(_read(file, ATTESTATION_DOCUMENT_MAX_BYTES))
    emit(as_json, explanation.to_dict(), lambda out: say(out, explanation.to_text()))


def _code_wanted(
    pcrs: tuple[bytes | None, bytes | None, bytes | None], *, any_measurement: bool
) -> Callable[[], Policy]:
    """The policy on code, made later: an all-zero value is a refusal (exit 1), not wrong usage."""
    pcr0, pcr1, pcr2 = pcrs
    if any_measurement:
        if any(pcrs):
            raise click.UsageError("--any-measurement and --pcr0/1/2 contradict each other; leave one out")
        return AnyMeasurementUnsafe
    if pcr0 is None or pcr1 is None or pcr2 is None:
        raise click.UsageError(
            "which code may run? Give --pcr0, --pcr1 and --pcr2, all three (none of them stands by itself), "
            "or --any-measurement (UNSAFE) if the code does not matter"
        )
    return lambda: AllowedMeasurements([Measurements(pcr0, pcr1, pcr2)])


def _read(path: str, max_bytes: int) -> bytes:
    """A byte more than `max_bytes` at most, so that whoever parses it sees that there is too much."""
    with click.open_file(path, "rb") as stream:
        data: bytes = stream.read(max_bytes + 1)
    return data


def _facts(verified: VerifiedAttestation, warnings: list[str]) -> dict[str, Any]:
    document, root = verified.document, verified.root
    return {
        "verified": True,
        "how": verified.how,
        "verified_at": verified.verified_at.isoformat(),
        "signed_at": document.signed_at.isoformat(),
        "nonce_compared": verified.nonce_compared,
        "unsigned_emulator": verified.is_unsigned_emulator,
        "root": {
            "name": root.name,
            "sha256": root.sha256.hex(),
            "is_aws": root.is_aws,
            "is_simulated": root.is_simulated,
        },
        "module_id": document.module_id,
        "debug_mode": document.is_debug,
        "policy": verified.policy,
        "pcrs": {str(index): value.hex() for index, value in document.pcrs.items()},
        "warnings": warnings,
    }


def _warnings(verified: VerifiedAttestation, *, any_measurement: bool) -> list[str]:
    """Everything that makes less of this verification than its exit code suggests."""
    found = []
    if verified.is_unsigned_emulator:
        found.append(f"{root_warning(verified.root)}; anybody could have written this document")
    elif not verified.root.is_aws:
        kind = "SIMULATED" if verified.root.is_simulated else "UNSAFE"
        found.append(f"{kind}: the root is NOT AWS's; this is not evidence of a Nitro Enclave")
    if verified.how == "replay":
        found.append("REPLAY: verified at its own signed time; says nothing about an enclave that runs now")
    elif not verified.nonce_compared:
        found.append("UNSAFE: no --nonce given; freshness rests on age alone, this may be a replay")
    if any_measurement:
        found.append("UNSAFE: the measurements were not compared with anything; the code is unknown")
    if verified.document.is_debug:
        found.append("UNSAFE: debug mode; the operator can read along and the code is not measured")
    return found


def _text(verified: VerifiedAttestation) -> str:
    document = verified.document
    rows = [
        ("root", verified.root.name),
        ("SHA-256", verified.root.sha256.hex()),
        ("module", document.module_id),
        ("signed at", time(document.signed_at)),
        ("verified at", time(verified.verified_at)),
        *((f"PCR{index}", value.hex()) for index, value in enumerate(verified.measurements)),
        ("policy", verified.policy),
    ]
    heading = "verified" if verified.how == "live" else "verified (replay)"
    if verified.is_unsigned_emulator:
        heading = f"{UNSIGNED_EMULATOR}: {heading}, but for certificates and signature, which are not there"
    return "\n".join([heading, *(f"  {name:<12} {value}" for name, value in rows)])
