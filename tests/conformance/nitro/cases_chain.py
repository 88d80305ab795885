"""Cases about the certificates: verification step 4. All documents are signed by the leaf they carry."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.conformance.nitro.cases import VALID, Cases, Laboratory
from tests.conformance.nitro.pki import issue, make_chain, profiles
from tests.conformance.nitro.signing import AT, encode_map, fields, sign

CHAIN = Cases()
add = CHAIN.add
_TIME, _PATH, _PROFILE = (
    "attestation/certificate-time",
    "attestation/chain",
    "attestation/certificate-profile",
)
_MALFORMED = "attestation/certificate-malformed"


def _changed(name: str, expect: str, what: str, **changes: dict[str, Any]) -> None:
    add(name, expect, what, lambda lab: lab.document_under(changes))


def _bundle(lab: Laboratory, *names: str) -> bytes:
    return lab.document(cabundle=[getattr(lab.chain, name).der for name in names])


def _root_of_the_same_name(lab: Laboratory) -> bytes:
    """Another key under the root's name, and everything below it."""
    return lab.document_under({"root": {"key_label": "another root"}})


def _own_root_in_front(lab: Laboratory) -> bytes:
    """A chain of the attacker's own with the trusted root put into `cabundle[0]`."""
    own = make_chain(AT, root={"key_label": "another root"})
    pairs = fields(own, AT, cabundle=[lab.chain.root.der, *own.cabundle[1:]])
    return sign(own.leaf, encode_map(pairs))


def _leaf_issued_by_leaf(lab: Laboratory) -> bytes:
    """What an enclave could do with the one key it can sign with, if a leaf could issue."""
    below = issue(profiles()["leaf"], issuer=lab.chain.leaf, at=AT)
    pairs = lab.fields(certificate=below.der, cabundle=[*lab.chain.cabundle, lab.chain.leaf.der])
    return sign(below, encode_map(pairs))


def _one_authority_more(lab: Laboratory) -> bytes:
    """Valid but for its length: a path of four intermediates, whose path lengths allow it."""
    wanted = profiles()
    region = issue(replace(wanted["region"], path_length=3), issuer=lab.chain.root, at=AT)
    extra = issue(replace(wanted["zone"], path_length=2, key_label="extra"), issuer=region, at=AT)
    zone = issue(replace(wanted["zone"], common_name="zone below a zone"), issuer=extra, at=AT)
    instance = issue(wanted["instance"], issuer=zone, at=AT)
    leaf = issue(wanted["leaf"], issuer=instance, at=AT)
    bundle = [each.der for each in (lab.chain.root, region, extra, zone, instance)]
    return sign(leaf, encode_map(lab.fields(certificate=leaf.der, cabundle=bundle)))


add("cabundle-one-more", _PATH, "four intermediates instead of three", _one_authority_more)
add(
    "cabundle0-garbage",
    VALID,
    "cabundle[0] is no certificate: it is never looked at",
    lambda lab: lab.document(cabundle=[b"never parsed", *lab.chain.cabundle[1:]]),
)
add(
    "other-root",
    "attestation/untrusted-root",
    "a complete chain under another root of the same name",
    _root_of_the_same_name,
)
add(
    "trusted-root-in-front",
    "attestation/untrusted-root",
    "the trusted root in front of somebody else's chain",
    _own_root_in_front,
)
_changed(
    "root-other-name",
    "attestation/untrusted-root",
    "the trusted key under another name",
    root={"common_name": "other.nitro-enclaves"},
)
add("cabundle-only-root", "attestation/untrusted-root", "no intermediates", lambda lab: _bundle(lab, "root"))
add(
    "cabundle-no-region",
    "attestation/untrusted-root",
    "the region's certificate is missing",
    lambda lab: _bundle(lab, "root", "zone", "instance"),
)
add(
    "cabundle-no-zone",
    _PATH,
    "the zone's certificate is missing",
    lambda lab: _bundle(lab, "root", "region", "instance"),
)
add(
    "cabundle-no-instance",
    _PATH,
    "the instance's certificate is missing",
    lambda lab: _bundle(lab, "root", "region", "zone"),
)
add(
    "cabundle-swapped",
    "attestation/chain-order",
    "zone and instance change places",
    lambda lab: _bundle(lab, "root", "region", "instance", "zone"),
)
add(
    "cabundle-twice",
    "attestation/chain-order",
    "the instance's certificate twice",
    lambda lab: _bundle(lab, "root", "region", "zone", "instance", "instance"),
)
add(
    "cabundle-reversed",
    "attestation/untrusted-root",
    "leaf's issuer first",
    lambda lab: _bundle(lab, "instance", "zone", "region", "root"),
)
add(
    "certificate-garbage",
    _MALFORMED,
    "a leaf that is no certificate",
    lambda lab: lab.document(certificate=bytes(64)),
)
add(
    "cabundle-garbage",
    _MALFORMED,
    "an intermediate that is no certificate",
    lambda lab: lab.document(cabundle=[*lab.chain.cabundle[:3], b"\x30\x00"]),
)
add(
    "certificate-trailing",
    _MALFORMED,
    "a byte after the leaf's DER",
    lambda lab: lab.document(certificate=lab.chain.leaf.der + b"\x00"),
)
add("leaf-issued-by-leaf", _PATH, "a leaf used as an authority", _leaf_issued_by_leaf)
add(
    "signed-by-an-authority",
    _PROFILE,
    "the instance's certificate as the leaf",
    lambda lab: sign(
        lab.chain.instance,
        encode_map(lab.fields(certificate=lab.chain.instance.der, cabundle=lab.chain.cabundle[:3])),
    ),
)

_hour = timedelta(hours=1)
for _name in ("region", "zone", "instance", "leaf"):
    _changed(
        f"expired-{_name}",
        _TIME,
        f"the {_name}'s certificate ran out",
        **{_name: {"starts_before": timedelta(days=30), "lifetime": timedelta(days=30) - _hour}},
    )
    _changed(
        f"not-yet-valid-{_name}",
        _TIME,
        f"the {_name}'s certificate does not hold yet",
        **{_name: {"starts_before": -_hour}},
    )

_changed("leaf-is-authority", _PROFILE, "CA:TRUE in the leaf", leaf={"ca": True})
_changed("leaf-without-constraints", _PROFILE, "no basicConstraints", leaf={"basic_constraints": False})
_changed("leaf-without-usage", _PROFILE, "no keyUsage", leaf={"key_usage": False})
_changed("leaf-may-not-sign", _PROFILE, "no digitalSignature", leaf={"digital_signature": False})
_changed("leaf-may-issue", _PROFILE, "keyCertSign in a leaf that is no authority", leaf={"cert_sign": True})
_changed(
    "leaf-sha256", _PROFILE, "a leaf signed with ecdsa-with-SHA256", leaf={"signed_with": hashes.SHA256()}
)
_changed(
    "zone-sha256", _PROFILE, "a zone signed with ecdsa-with-SHA256", zone={"signed_with": hashes.SHA256()}
)
_changed("region-p256", _PROFILE, "a region with a P-256 key", region={"curve": ec.SECP256R1()})
_changed("instance-p521", _PROFILE, "an instance with a P-521 key", instance={"curve": ec.SECP521R1()})
_changed(
    "leaf-critical-unknown",
    _PATH,
    "a critical extension that nobody knows",
    leaf={"extra": (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00"),)},
)
_changed("zone-not-authority", _PATH, "CA:FALSE in the zone", zone={"ca": False, "path_length": None})
_changed(
    "zone-without-constraints", _PATH, "no basicConstraints in the zone", zone={"basic_constraints": False}
)
_changed(
    "region-path-length-0",
    _PATH,
    "a region that may not have authorities below it",
    region={"path_length": 0},
)
_changed(
    "zone-path-length-0", _PATH, "a zone that may not have authorities below it", zone={"path_length": 0}
)


def _p256_leaf(lab: Laboratory) -> bytes:
    """Its signature is padded to the size of P-384's: the key must be refused before it counts."""
    chain = make_chain(AT, leaf={"curve": ec.SECP256R1()})
    signed = sign(chain.leaf, encode_map(fields(chain, AT)))
    return signed[:-66] + b"\x58\x60" + bytes(32) + signed[-64:]


add("leaf-p256", _PROFILE, "a leaf with a P-256 key", _p256_leaf)
