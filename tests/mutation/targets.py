"""Which modules are mutated, what matters first, and the quick tests that are to notice.

Tests that start processes or wait for time to pass are left out: the others have to be enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_ADVERSARIAL: Final = "tests/adversarial/test_attacks"
_ENCLAVE: Final = "tests/unit/enclave_compute/test"
_FORMATS: Final = "tests/unit/protos_formats/test_formats"
_ATTESTATION: Final = "tests/unit/party_client/test_attestation"
_VECTORS: Final = "tests/conformance/test_formats_vectors.py"
_BYTES: Final = (f"{_FORMATS}_bounds.py", f"{_ADVERSARIAL}_formats.py", _VECTORS)


@dataclass(frozen=True)
class Target:
    """One module and the tests of it, the most likely to notice first."""

    module: str
    tests: tuple[str, ...]


def _enclave(name: str, *more: str) -> Target:
    return Target(f"enclave_compute/{name}.py", (f"{_ENCLAVE}_enclave_{name}.py", *more))


def _format(name: str, *more: str) -> Target:
    return Target(f"protos/formats/{name}.py", (f"{_FORMATS}_{name}.py", *more))


def _image_file(name: str, *more: str) -> Target:
    tests = (*more, f"{_ENCLAVE}_eif_reader.py", f"{_ADVERSARIAL}_image_file.py")
    return Target(f"enclave_compute/image/eif/{name}.py", (*tests, "tests/conformance/test_eif_aws_files.py"))


def _plan(name: str) -> Target:
    tests = (
        "tests/unit/protos_plan",
        f"{_ENCLAVE}_disclosure.py",
        f"{_ENCLAVE}_disclosure_rules.py",
        f"{_ENCLAVE}_disclosure_derived_rules.py",
        f"{_ADVERSARIAL}_disclosure.py",
        f"{_ADVERSARIAL}_derived_tables.py",
    )
    return Target(f"protos/plan/{name}.py", tests)


def _privacy(name: str) -> Target:
    tests = ("tests/unit/protos_privacy", "tests/property/test_privacy_properties.py")
    return Target(f"protos/privacy/{name}.py", tests)


def _attestation(name: str) -> Target:
    tests = (
        f"{_ATTESTATION}_verifier.py",
        f"{_ATTESTATION}_chain.py",
        f"{_ATTESTATION}_policy.py",
        f"{_ATTESTATION}_enclave.py",
        f"{_ATTESTATION}_roots.py",
        f"{_ADVERSARIAL}_attestation.py",
        f"{_ADVERSARIAL}_release_enclaves.py",
        "tests/conformance/test_nitro_own_vectors.py",
        "tests/conformance/test_nitro_aws_documents.py",
    )
    return Target(f"party_client/attestation/{name}.py", tests)


_RELEASES: Final = (
    "tests/conformance/test_release_vectors.py",
    f"{_ADVERSARIAL}_releases.py",
    f"{_ADVERSARIAL}_release_enclaves.py",
    "tests/unit/protos_release",
)
_ENGINE: Final = tuple(
    f"{_ENCLAVE}_{name}.py" for name in ("engine", "engine_damaged_chunks", "disclosure", "disclosure_rules")
)
_DIFFERENCES: Final = (
    f"{_ENCLAVE}_differencing.py",
    f"{_ENCLAVE}_disclosure_derived_rules.py",
    f"{_ADVERSARIAL}_rules.py",
)

_NOISE: Final = (
    "tests/unit/protos_plan/test_plan_noise.py",
    f"{_ENCLAVE}_noisy_release.py",
    "tests/property/test_noise_properties.py",
)
_KMS: Final = {
    "enveloped": "enveloped",
    "tls": "tls",
    "errands": "errands",
    "request": "request",
    "answer": "answer",
    "signing": "signing",
}
_ERRANDS: Final = tuple(f"{_ENCLAVE}_enclave_kms_{name}.py" for name in ("errands", "request"))
_STATE: Final = (f"{_ADVERSARIAL}_state.py", f"{_ADVERSARIAL}_state_witnesses.py")
_KEYS: Final = (
    f"{_ENCLAVE}_key_ring.py",
    f"{_ENCLAVE}_key_uses.py",
    f"{_ENCLAVE}_key_ledger.py",
    f"{_ADVERSARIAL}_keys.py",
)
_ACCOUNTS: Final = (f"{_ENCLAVE}_privacy_accounts.py", f"{_ADVERSARIAL}_privacy.py")

TARGETS: Final = (
    _enclave(
        "slot",
        f"{_ADVERSARIAL}_enclave_data.py",
        f"{_ENCLAVE}_enclave_life.py",
        f"{_ENCLAVE}_enclave_kms_uploads.py",
    ),
    *(
        Target(f"enclave_compute/kms/{name}.py", (f"{_ENCLAVE}_enclave_kms_{tests}.py", *_ERRANDS))
        for name, tests in _KMS.items()
    ),
    *(
        Target(f"enclave_compute/state/{name}.py", _STATE)
        for name in ("offered", "taking_up", "chain", "content", "journal")
    ),
    Target("party_client/witnessing.py", _STATE),
    Target("party_client/state_memory.py", ("tests/unit/party_client/test_state_memory.py", *_STATE)),
    _enclave("binding", f"{_ADVERSARIAL}_enclave_agreement.py", f"{_ADVERSARIAL}_release_enclaves.py"),
    _enclave("runs", f"{_ADVERSARIAL}_enclave_runs.py"),
    _format("sealed", f"{_ADVERSARIAL}_stream.py", *_BYTES),
    _format("approvals", f"{_ADVERSARIAL}_enclave_agreement.py", *_BYTES),
    Target(
        "enclave_compute/disclosure.py",
        (f"{_ENCLAVE}_disclosure.py", f"{_ENCLAVE}_disclosure_sizes.py", f"{_ADVERSARIAL}_disclosure.py"),
    ),
    Target("enclave_compute/differencing.py", _DIFFERENCES),
    Target("protos/plan/unit_sets.py", _DIFFERENCES),
    _enclave("ledger", f"{_ADVERSARIAL}_enclave_runs.py"),
    _enclave("calls", f"{_ENCLAVE}_enclave_life.py", f"{_ADVERSARIAL}_enclave_runs.py"),
    _enclave("phases"),
    _enclave(
        "life",
        f"{_ENCLAVE}_enclave_slot.py",
        f"{_ADVERSARIAL}_enclave_agreement.py",
        f"{_ADVERSARIAL}_enclave_runs.py",
    ),
    *(
        Target(f"enclave_compute/key_ring/{name}.py", _KEYS)
        for name in ("uses", "ledger", "ring", "operations", "secrets", "tokens")
    ),
    _enclave("clock"),
    Target("enclave_compute/columnar.py", _ENGINE),
    Target("enclave_compute/compression.py", _ENGINE),
    Target("enclave_compute/engine.py", _ENGINE),
    _format("columns", *_BYTES),
    _format("cose", *_BYTES),
    _format("canonical", *_BYTES),
    _format("agreement", *_BYTES),
    Target("protos/formats/participants.py", (f"{_FORMATS}_agreement.py", *_BYTES)),
    _format("schema", *_BYTES),
    _format("query", *_BYTES),
    _format("binding", *_BYTES),
    Target("protos/formats/result.py", (f"{_FORMATS}_runs.py", *_BYTES)),
    Target("protos/formats/run_request.py", (f"{_FORMATS}_runs.py", *_BYTES)),
    Target("protos/formats/receipt.py", (f"{_FORMATS}_runs.py", *_BYTES)),
    _format("frames", *_BYTES),
    _format("rules", *_BYTES),
    Target("protos/formats/rule_references.py", (f"{_FORMATS}_rules.py", *_BYTES)),
    _format("budget", *_BYTES),
    *(
        Target(f"protos/formats/{name}.py", (f"{_FORMATS}_keys.py", *_KEYS, *_BYTES))
        for name in ("key_ring", "key_use", "key_answer", "key_budget")
    ),
    *(Target(f"protos/release/{name}.py", _RELEASES) for name in ("history", "change", "measurements")),
    _plan("rules"),
    _plan("sources"),
    _plan("analyses"),
    _plan("clamps"),
    _plan("contributions"),
    _plan("lists"),
    Target("enclave_compute/samplers.py", ("tests/unit/enclave_compute/test_samplers.py",)),
    Target("enclave_compute/noise.py", ("tests/unit/enclave_compute/test_noise.py",)),
    Target("enclave_compute/noisy_release.py", (f"{_ENCLAVE}_noisy_release.py",)),
    Target("enclave_compute/privacy_accounts.py", _ACCOUNTS),
    *(
        Target(f"protos/plan/{name}.py", _NOISE)
        for name in ("noise", "noisy_outputs", "stakes", "value_bounds", "noise_sql")
    ),
    _format("privacy", *_BYTES),
    Target("protos/formats/privacy_loss.py", (f"{_FORMATS}_privacy.py", *_BYTES)),
    *(_privacy(name) for name in ("plan", "budget", "loss", "sensitivity", "outputs", "tails", "rounding")),
    _plan("units"),
    _plan("unions"),
    _plan("selections"),
    _plan("windows"),
    _plan("aggregates"),
    _attestation("verifier"),
    _attestation("chain"),
    _attestation("cose_sign1"),
    _attestation("cbor"),
    _attestation("document"),
    _attestation("expectations"),
    _attestation("policy"),
    _attestation("enclave"),
    _attestation("roots"),
    Target(
        "party_client/attestation/emulator.py",
        (f"{_ATTESTATION}_emulator.py", f"{_ADVERSARIAL}_attestation.py"),
    ),
    _image_file("reader"),
    _image_file("header"),
    _image_file("sections"),
    _image_file("measure"),
    _image_file("metadata", f"{_ENCLAVE}_eif_writer.py"),
    _image_file("signature", f"{_ENCLAVE}_eif_signature.py"),
    _image_file("writer", f"{_ENCLAVE}_eif_writer.py"),
    _enclave("server"),
)
