"""Messages that have to be refused, each with the error that a reader has to raise.

A case is a good message with one thing wrong. What is wrong is what somebody might gain by: a second reading
of the same bytes, a rule that is silently absent, a value that stands for terabytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from protos.formats import cose
from protos.formats.approvals import APPROVAL_LABEL
from protos.formats.canonical import Value, decode_untrusted, encode
from protos.formats.key_use import KeyRequest, sign_key_approval
from protos.formats.limits import FRAME_BODY_MAX_BYTES, FRAME_HEADER_MAX_BYTES, MIB
from protos.formats.sealed import HEADER_LABEL, MANIFEST_LABEL
from tests.conformance.formats import samples
from tests.conformance.formats.sample_kms import KMS_KEY
from tests.conformance.formats.sample_people import Person

FORMAT, LIMIT, SIGNATURE = "FormatError", "LimitExceededError", "SignatureError"
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Refused:
    """`expect` is the name of the error's class."""

    format: str
    what: str
    expect: str
    message: bytes


def changed(message: bytes, path: Path, change: Callable[[Value], Value]) -> bytes:
    """`message` with `change` made to what stands at `path`."""
    value = decode_untrusted(message, max_bytes=MIB, what="sample")
    place = value
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = change(place[path[-1]])
    return encode(value)


def to(value: Value) -> Callable[[Value], Value]:
    return lambda _: value


def times(count: int) -> Callable[[Value], Value]:
    return lambda items: items * count


# Shared values (tags 28, 29) in shared values: 16 lists of 10, each of the one before: 10**16 zeros.
SHARED_VALUES: Final = (
    b"\x90"
    + bytes.fromhex("d81c8a00000000000000000000")
    + b"".join(b"\xd8\x1c\x8a" + bytes([0xD8, 0x1D, number]) * 10 for number in range(15))
)

LOSS: Final = ("privacy", 0, "cost", "amount")
DOMAIN: Final = ("queries", 0, "noise", "domains", 0)
CBOR: Final = (
    ("nothing", ""),
    ("0 in two bytes", "1800"),
    ("23 in two bytes", "1817"),
    ("255 in three bytes", "1900ff"),
    ("a length of 1 in two bytes", "580100"),
    ("an indefinite list", "9fff"),
    ("an indefinite map", "bfff"),
    ("an indefinite byte string", "5f4100ff"),
    ("an indefinite text", "7f6161ff"),
    ("a reserved length", "1c"),
    ("a key twice", "a2616100616101"),
    ("keys in another order", "a2616200616100"),
    ("longer keys first", "a262616100616200"),
    ("an integer as a key", "a10000"),
    ("a list as a key", "a18000"),
    ("a float", "f90000"),
    ("not a number", "f97e00"),
    ("undefined", "f7"),
    ("a simple value", "f820"),
    ("false in two bytes", "f814"),
    ("a break without a beginning", "ff"),
    ("a byte too many", "0000"),
    ("a byte too few", "820100"[:4]),
    ("a list that ends inside another", "828100"),
    ("a length of 2^63", "5b8000000000000000"),
    ("an integer above 64 bits, signed", "1b8000000000000000"),
    ("an integer below 64 bits, signed", "3b8000000000000000"),
    ("text that is not UTF-8", "61ff"),
    ("text with half of a surrogate pair", "63eda080"),
    ("17 levels", "81" * 16 + "00"),
    ("tag 0, a date", "c06a323032362d30312d3031"),
    ("tag 2, a bignum", "c24101"),
    ("tag 4, a decimal of a thousand million digits", "c4821a3b9aca0001"),
    ("tag 5, a bigfloat", "c5820001"),
    ("tag 25, a string reference", "d81900"),
    ("tag 28 and 29, a list that contains itself", "d81c81d81d00"),
    ("tag 28 and 29, ten thousand million million zeros", SHARED_VALUES.hex()),
    ("tag 30, a fraction", "d81e820102"),
    ("tag 35, a regular expression", "d8236161"),
    ("tag 36, an e-mail", "d82461610a"[:8]),
    ("tag 37, a UUID", "d82550" + "00" * 16),
    ("tag 100, a day", "d86400"),
    ("tag 256, string references", "d9010080"),
    ("tag 258, a set", "d9010280"),
    ("tag 260, an address", "d9010444ffffffff"),
    ("tag 261, a network", "d90105a144c0a800001818"),
    ("tag 43000, a complex number", "d9a7f8820102"),
    ("tag 55799, CBOR", "d9d9f700"),
)

KEY_CHANGES: Final[tuple[tuple[str, str, Path, Callable[[Value], Value]], ...]] = (
    ("agreement", "a key of no kind", ("keys", 0, "kind"), to("rsa-1024")),
    ("agreement", "a key for nothing", ("keys", 0, "uses"), to([])),
    ("agreement", "a key for two purposes", ("keys", 1, "uses"), to(["hmac", "tokenise"])),
    ("agreement", "a signing key that decrypts", ("keys", 0, "uses"), to(["decrypt"])),
    ("agreement", "a key for nobody", ("keys", 0, "used_by"), to([])),
    ("agreement", "a key for a stranger", ("keys", 0, "used_by"), to(["stranger"])),
    ("agreement", "uses approved by an analyst", ("keys", 0, "approved_by"), to(["analyst"])),
    ("agreement", "users in another order", ("keys", 1, "used_by"), lambda users: users[::-1]),
    ("agreement", "a key that may never be used", ("keys", 0, "max_uses"), to(0)),
    ("agreement", "tokens of any number of identifiers", ("keys", 1, "max_values"), to(None)),
    ("agreement", "a signing key that normalises", ("keys", 0, "normalise"), to("email/v1")),
    ("agreement", "signatures of so many identifiers", ("keys", 0, "max_values"), to(1)),
    ("agreement", "a normaliser nobody knows", ("keys", 1, "normalise"), to("email/v2")),
    ("agreement", "one key twice", ("keys",), lambda keys: [keys[0], keys[0]]),
    (
        "agreement",
        "five RSA keys",
        ("keys",),
        lambda keys: [{**keys[0], "id": f"k{n}", "kind": "rsa-2048"} for n in range(5)],
    ),
    ("key-request", "a use nobody knows", ("use",), to("export")),
    ("key-request", "an input in clear", ("input",), to(b"what is to be signed")),
    ("key-request", "a request id of 15 bytes", ("request",), to(bytes(15))),
    ("key-request", "label of a run request", ("label",), to("concordat/run-request/v1")),
    ("key-call", "no input", ("input",), to(b"")),
    ("key-answer", "use number 0", ("number",), to(0)),
    ("key-answer", "an output that is text", ("output",), to("a")),
    ("public-keys", "the public half of a symmetric key", ("keys", 0, "kind"), to("aes-256")),
    ("public-keys", "a public half that is not there", ("keys", 0, "public_key"), to(b"")),
)

CLAMP: Final[Path] = ("datasets", 0, "columns", 3, "clamp")


def custom(query: str) -> Callable[[Value], Value]:
    return lambda rules: {**rules, "analyses": ["custom"], "only_queries": [query]}


# (format, what is wrong, where, how): all give a FormatError.
CHANGES: Final[tuple[tuple[str, str, Path, Callable[[Value], Value]], ...]] = (
    ("agreement", "label of an approval", ("label",), to(APPROVAL_LABEL)),
    ("agreement", "ends before it begins", ("valid_until_s",), to(1)),
    ("agreement", "nobody to sign", ("parties",), to([])),
    ("agreement", "no release", ("releases",), to([])),
    ("agreement", "PCR0 of a debug-mode enclave", ("releases", 0, "pcr0"), to(bytes(48))),
    ("agreement", "a release that ends before it begins", ("releases", 0, "valid_from_s"), to(1_800_000_000)),
    ("agreement", "a release until yesterday's yesterday", ("releases", 0, "valid_until_s"), to(-1)),
    ("agreement", "a quorum of nobody", ("release_quorum",), to(0)),
    ("agreement", "a quorum of more than all", ("release_quorum",), to(3)),
    ("agreement", "a quorum that is true", ("release_quorum",), to(True)),
    ("agreement", "the same party twice", ("parties",), lambda parties: [parties[0], parties[0]]),
    ("agreement", "a dataset of nobody", ("datasets", 0, "owner"), to("stranger")),
    ("agreement", "a query for a stranger", ("queries", 0, "receivers"), to(["stranger"])),
    ("agreement", "uses in another order", ("datasets", 0, "columns", 1, "uses"), lambda uses: uses[::-1]),
    (
        "agreement",
        "a range from a date to a number",
        ("queries", 0, "parameters", 0, "low"),
        to("2026-01-31"),
    ),
    ("agreement", "a nullable privacy unit", ("datasets", 0, "columns", 1, "nullable"), to(True)),
    ("agreement", "threshold 0", ("datasets", 0, "threshold"), to(0)),
    ("agreement", "threshold 1 that nobody means", ("datasets", 0, "threshold"), to(1)),
    ("agreement", "rules that are not there", ("datasets", 0, "rules"), to(None)),
    ("agreement", "an analysis nobody knows", ("datasets", 0, "rules", "analyses"), to(["any"])),
    ("agreement", "custom beside another", ("datasets", 0, "rules", "analyses"), to(["custom", "list"])),
    ("agreement", "only a query that is not there", ("datasets", 0, "rules"), custom("another")),
    (
        "agreement",
        "only_queries for any query",
        ("datasets", 0, "rules", "only_queries"),
        to(["delay_by_day"]),
    ),
    ("agreement", "a forbidden privacy unit", ("datasets", 0, "rules", "forbidden"), to(["tailnum"])),
    ("agreement", "a forbidden column nobody has", ("datasets", 0, "rules", "forbidden"), to(["height"])),
    ("agreement", "joined with itself", ("datasets", 1, "rules", "joined_with"), to(["wind"])),
    ("agreement", "results for a stranger", ("datasets", 1, "rules", "receivers"), to(["stranger"])),
    ("agreement", "no row of a unit", ("datasets", 0, "rules", "max_rows_per_unit"), to(0)),
    ("agreement", "more rows than there may be", ("datasets", 0, "rules", "min_rows"), to(1_000_001)),
    ("agreement", "more units than there may be", ("datasets", 0, "rules", "min_units"), to(1_000_001)),
    (
        "agreement",
        "an opt-out list that is not there",
        ("datasets", 1, "rules", "opt_out", "dataset"),
        to("a"),
    ),
    ("agreement", "an opt-out list of itself", ("datasets", 1, "rules", "opt_out", "dataset"), to("wind")),
    ("agreement", "an opt-out list of another type", ("datasets", 2, "columns", 0, "type"), to("text")),
    ("agreement", "an opt-out list nobody granted", ("datasets", 2, "columns", 0, "uses"), to([])),
    ("agreement", "a clamp that ends before it begins", CLAMP, to({"low": "1.00", "high": "0.99"})),
    ("agreement", "a clamp with other places", CLAMP, to({"low": "0.0", "high": "1.0"})),
    ("agreement", "a clamp with a zero in front", CLAMP, to({"low": "00.00", "high": "1.00"})),
    ("agreement", "a clamp from minus nothing", CLAMP, to({"low": "-0.00", "high": "1.00"})),
    ("agreement", "a clamp beyond the type", CLAMP, to({"low": "0.00", "high": "10000000.00"})),
    ("agreement", "no run in a day", ("queries", 0, "per_day"), to(0)),
    ("agreement", "privacy of nobody", ("privacy", 0, "owner"), to("stranger")),
    ("agreement", "privacy of one owner twice", ("privacy",), lambda entries: entries * 2),
    ("agreement", "an epsilon that promises nothing", ("privacy", 0, "epsilon"), to("20.1")),
    ("agreement", "an epsilon with a zero at its end", ("privacy", 0, "epsilon"), to("1.50")),
    ("agreement", "an epsilon with an exponent", ("privacy", 0, "epsilon"), to("1e0")),
    ("agreement", "gaussian noise with delta 0", ("privacy", 0, "delta"), to("0")),
    ("agreement", "a delta that is no failure", ("privacy", 0, "delta"), to("0.01")),
    ("agreement", "noise nobody knows", ("privacy", 0, "noise"), to("uniform")),
    ("agreement", "keys nobody knows", ("queries", 0, "noise", "keys"), to("all")),
    ("agreement", "domains for selected keys", ("queries", 0, "noise", "keys"), to("selected")),
    ("agreement", "a domain in another order", DOMAIN, to(["windy", "calm"])),
    ("agreement", "a domain of two types", DOMAIN, to([True, 1])),
    ("agreement", "a domain of nothing", DOMAIN, to([])),
    ("agreement", "more groups than there may be", DOMAIN, to([f"{n:06}" for n in range(2**17 + 1)])),
    ("agreement", "a weight that need not be said", ("queries", 0, "noise", "weights"), to({"delay": 1})),
    ("agreement", "true for a number", ("datasets", 0, "threshold"), to(True)),
    ("agreement", "a title that is written from right to left", ("title",), to("a\u202eb")),
    (
        "agreement",
        "a tick of five minutes and a second",
        ("limits",),
        lambda limits: {**limits, "tick_s": 301},
    ),
    ("agreement", "a key nobody knows", ("limits",), lambda limits: {**limits, "extra": 1}),
    ("key-bundle", "an X25519 key alone", ("hpke_public_key",), to(bytes(32))),
    ("key-bundle", "label of a sealed dataset", ("label",), to(HEADER_LABEL)),
    ("sealed-header", "an unknown compression", ("compression",), to("lz4")),
    ("sealed-header", "an upload id of 15 bytes", ("upload",), to(bytes(15))),
    ("sealed-header", "neither an enclave nor a KMS key", ("enclave",), to(None)),
    ("sealed-header", "an enclave and a KMS key", ("kms_key",), to(KMS_KEY)),
    ("envelope-header", "a wrapped key of 6,145 bytes", ("wrapped_key",), to(bytes(6145))),
    ("envelope-header", "no wrapped key", ("wrapped_key",), to(b"")),
    ("envelope-header", "a KMS key of 257 characters", ("kms_key",), to("a" * 257)),
    ("agreement", "an account of 11 digits", ("datasets", 0, "kms", "account"), to("11112222333")),
    ("agreement", "an endpoint without a port", ("datasets", 0, "kms", "endpoint"), to("kms.amazonaws.com")),
    ("agreement", "an endpoint at port 65536", ("datasets", 0, "kms", "endpoint"), to("localhost:65536")),
    ("agreement", "an endpoint by its address", ("datasets", 0, "kms", "endpoint"), to("127.0.0.1:443")),
    ("agreement", "an endpoint with a path", ("datasets", 0, "kms", "endpoint"), to("localhost:1/x")),
    ("agreement", "nobody to vouch for an endpoint", ("datasets", 0, "kms", "authorities"), to([])),
    ("agreement", "an authority twice", ("datasets", 0, "kms", "authorities"), to([b"one", b"one"])),
    ("agreement", "state without witnesses", ("state", "witnesses"), to([])),
    ("agreement", "state witnessed by a stranger", ("state", "witnesses"), to(["stranger"])),
    ("agreement", "witnesses in another order", ("state", "witnesses"), to(["weather", "airline"])),
    ("agreement", "state of a stranger's", ("state", "party"), to("stranger")),
    ("sealed-header", "a wrapped key without its tag", ("wrapped_key",), lambda key: key[:-16]),
    ("manifest", "no chunk", ("chunks",), to(0)),
    ("manifest", "fewer rows than none", ("rows",), to(-1)),
    ("run-request", "a parameter that is true", ("parameters", "gust"), to(True)),
    ("run-request", "a parameter that is a list", ("parameters", "gust"), to([40])),
    ("run-request", "a query that is SQL", ("query",), to("select 1")),
    ("sealed-result", "a receiver in capitals", ("receiver",), to("Analyst")),
    ("claims", "an exact count", ("suppressed", 0, "groups_at_most"), to(37)),
    ("claims", "release number 0", ("sequence",), to(0)),
    ("claims", "for nobody", ("receivers",), to([])),
    ("claims", "on no data", ("datasets",), to([])),
    ("claims", "a run that costs nothing", ("budget", 0, "after"), to(5)),
    ("claims", "more left than there were", ("budget", 0, "before"), to(6)),
    ("claims", "a window nobody knows", ("budget", 0, "window"), to("hour")),
    ("claims", "charged to nothing", ("budget",), to([])),
    ("claims", "a privacy loss with a zero in front", LOSS, to("01")),
    ("claims", "a privacy loss that is a number", LOSS, to(1)),
    ("claims", "a privacy loss below nothing", LOSS, to("-1")),
    ("claims", "a run with noise that costs nothing", LOSS, to("0")),
    ("claims", "a run that costs more than is spent", LOSS, to(str(2**151 + 1))),
    (
        "claims",
        "more delta spent than there is",
        ("privacy", 0, "after", "spent", "delta"),
        to(str(2**141)),
    ),
    ("claims", "noise of no kind", ("privacy", 0, "after", "noise"), to("uniform")),
    ("budget", "more privacy spent than there is", ("privacy", 0, "spent", "amount"), to(str(2**156))),
    ("budget", "a privacy budget of nobody", ("privacy", 0, "owner"), to("")),
    ("budget-request", "a nonce of 31 bytes", ("nonce",), to(bytes(31))),
    ("budget", "more left than there may be", ("queries", 0, "windows", 0, "left"), to(6)),
    ("budget", "a head of a ledger without entries", ("sequence",), to(0)),
    ("ledger-event", "a kind of event that nobody knows", ("kind",), to("forgotten")),
    ("ledger-event", "entry number 0", ("sequence",), to(0)),
    ("ledger-event", "about nothing", ("subject",), to("")),
    ("state-record", "entry number 0", ("sequence",), to(0)),
    ("state-record", "one entry more than there may be", ("sequence",), to(2**16 + 1)),
    ("state-record", "without the key in KMS", ("kms_key",), to("")),
    ("state-record", "nothing sealed in it", ("sealed",), to(b"")),
    ("state-content", "a secret that is a text", ("secrets", "hpke"), to("secret")),
    ("state-content", "a request that is none", ("request",), to(b"")),
    ("state-proposal", "a state without entries", ("offered", "sequence"), to(0)),
    ("state-statement", "a head of nothing", ("known", "sequence"), to(0)),
    ("state-statement", "an entry without its head", ("known", "head"), to(bytes(48))),
    ("state-statement", "half a share", ("share",), lambda share: share[:-16]),
    ("state-statement", "a life of 15 bytes", ("life",), lambda life: life[:-1]),
    ("budget", "a key without windows", ("keys", 0, "windows"), to([])),
    ("budget", "more uses left than there may be", ("keys", 0, "windows", 0, "left"), to(4)),
    ("budget", "a window of keys that nobody knows", ("keys", 0, "windows", 0, "window"), to("query")),
    *KEY_CHANGES,
    ("receipt", "signed by nobody", ("approvals",), to([])),
    ("receipt", "no attestation document", ("attestation",), to(b"")),
    ("approval", "something unsigned in the unprotected header", (1,), to({"a": 1})),
    ("approval", "a signature of 63 bytes", (3,), lambda signature: signature[:-1]),
    ("approval", "algorithm ES384", (0,), lambda header: header.replace(b"\x01\x32", b"\x01\x38\x22")),
    ("approval", "no key id", (0,), to(bytes.fromhex("a10132"))),
    ("approval", "a detached payload", (2,), to(None)),
    ("approval", "five parts", (3,), lambda signature: [signature, signature]),
)


def signatures() -> list[tuple[str, str, bytes]]:
    """(format, what is wrong, message) where the form is right and the signature is not."""
    airline, weather, stranger = samples.AIRLINE, samples.WEATHER, samples.STRANGER
    renamed = replace(samples.agreement(), title="Another title")
    payload = decode_untrusted(samples.approvals()[0], max_bytes=MIB, what="sample")[2]
    key_request = KeyRequest.decode_untrusted(samples.messages()["key-request"])
    return [
        ("approval", "by a stranger", samples.approval(stranger)),
        ("approval", "of another agreement", samples.approval(airline, agreed=renamed)),
        ("approval", "another type", cose.sign(payload, typ=MANIFEST_LABEL, key=airline.signing)),
        ("approval", "for another party", cose.sign(payload, typ=APPROVAL_LABEL, key=weather.signing)),
        (
            "approval",
            "another signature",
            changed(samples.approvals()[0], (3,), to(cose.sign(b"", typ="", key=airline.signing)[-64:])),
        ),
        (
            "approval",
            "another payload",
            changed(samples.approvals()[0], (2,), lambda text: text.replace(b"airline", b"weather")),
        ),
        (
            "signed-header",
            "by another party",
            cose.sign(samples.sealed_header().encode(), typ=HEADER_LABEL, key=weather.signing),
        ),
        (
            "signed-run-request",
            "by somebody who may not ask",
            cose.sign(samples.run_request().encode(), typ="concordat/run-request/v1", key=weather.signing),
        ),
        ("key-approval", "of another request", key_approval(bytes(48), airline)),
        ("key-approval", "for another party", key_approval(key_request.digest(), weather)),
    ]


def key_approval(request_digest: bytes, person: Person) -> bytes:
    return sign_key_approval(request_digest, party=person.id, key=person.signing, signed_at_s=0)


def frames_and_padding() -> list[Refused]:
    good, padded = samples.messages()["frame"], samples.messages()["padded-result"]
    too_long = (FRAME_HEADER_MAX_BYTES + 1).to_bytes(2, "big") + bytes(4)
    too_large = bytes(2) + (FRAME_BODY_MAX_BYTES + 1).to_bytes(4, "big")
    return [
        Refused("frame", "announces a header over the limit", LIMIT, too_long),
        Refused("frame", "announces a body over the limit", LIMIT, too_large),
        Refused("frame", "no header", FORMAT, bytes(6)),
        Refused("frame", "a header that is a list", FORMAT, bytes.fromhex("000100000000 80")),
        Refused("frame", "a byte too few", FORMAT, good[:-1]),
        Refused("padded-result", "nothing", FORMAT, b""),
        Refused("padded-result", "no padding", FORMAT, padded[: 4 + len(samples.RESULT)]),
        Refused("padded-result", "a padding that says something", FORMAT, padded[:-1] + b"\x01"),
        Refused("padded-result", "twice the size needed", FORMAT, padded + bytes(len(padded))),
        Refused("padded-result", "longer than it is", FORMAT, b"\x00\x01\x00\x00" + padded[4:]),
    ]


@cache
def cases() -> tuple[Refused, ...]:
    """All of them. What is wrong is unique within a format."""
    good = samples.messages()
    return (
        *(Refused("cbor", what, FORMAT, bytes.fromhex(text)) for what, text in CBOR),
        *(Refused(name, what, FORMAT, changed(good[name], path, how)) for name, what, path, how in CHANGES),
        *(Refused(name, what, SIGNATURE, message) for name, what, message in signatures()),
        *frames_and_padding(),
        Refused("key-call", "65 approvals", LIMIT, changed(good["key-call"], ("approvals",), times(65))),
        Refused("approval", "tagged", FORMAT, b"\xd2" + good["approval"]),
        Refused("approval", "over the limit", LIMIT, good["approval"] + bytes(4096)),
    )


def messages_of(*formats: str) -> list[bytes]:
    """The good message of each of `formats`, and all that has to be refused: what a fuzzer starts from."""
    good = [samples.messages()[name] for name in formats]
    return good + [case.message for case in cases() if case.format in formats]
