"""Keys in the text of an agreement: read strictly, told in words, compared, and alone in an agreement."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from party_client.agreements import check, compile_toml, diff, granting
from party_client.agreements.errors import AgreementError
from party_client.agreements.keys_text import key_bounds, key_checks
from party_client.attestation import TrustedRoots
from party_client.leak_report import leak_report
from party_client.pages.leak_report_page import leak_report_page
from protos.formats.agreement import Agreement
from protos.formats.errors import FormatError
from protos.formats.key_ring import AgreedKey
from tests import key_world, world
from tests.unit.party_client.written_agreement import write

KEYS = """
[[keys]]
id = "tokens"
kind = "hmac-sha256"
uses = ["tokenise"]
used_by = ["weather_service", "airline"]
max_uses = 50
per_week = 7
max_values = 1_000
normalise = "email/v1"

[[keys]]
id = "notary"
kind = "rsa-3072"
uses = ["sign"]
used_by = ["analyst"]
approved_by = ["airline"]
max_uses = 5
"""
NOW = datetime(2026, 6, 1, tzinfo=UTC)
Compile = Callable[[str], Agreement]


@pytest.fixture
def compiled(tmp_path: Path) -> Compile:
    toml = write(tmp_path)
    text = toml.read_text(encoding="utf-8")

    def compile_with(keys: str) -> Agreement:
        toml.write_text(text + keys, encoding="utf-8")
        return compile_toml(toml)

    return compile_with


def test_keys_are_read_as_written(compiled: Compile) -> None:
    tokens, notary = compiled(KEYS).keys
    assert tokens == AgreedKey(
        id="tokens",
        kind="hmac-sha256",
        uses=frozenset({"tokenise"}),
        used_by=("airline", "weather_service"),
        max_uses=50,
        per_week=7,
        max_values=1_000,
        normalise="email/v1",
    )
    assert (notary.approved_by, notary.max_values) == (("airline",), None)
    assert key_bounds(tokens) == "at most 50 times, at most 7 in any 7 days, at most 1,000 identifiers in all"


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ('id = "tokens"\n', "", "`id` is missing"),
        ("max_uses = 50", "max_use = 50", "max_use"),
        ('kind = "rsa-3072"', 'kind = "rsa-1024"', "got kind 'rsa-1024'"),
        ('uses = ["sign"]', 'uses = ["sign", "decrypt"]', "a key serves one purpose"),
        ('uses = ["sign"]', "uses = []", "an empty list means deny"),
        ('used_by = ["analyst"]', "used_by = []", "must name somebody"),
        ('used_by = ["analyst"]', 'used_by = ["nobody"]', "neither party nor analyst"),
        ('approved_by = ["airline"]', 'approved_by = ["analyst"]', "who are no parties"),
        ("max_values = 1_000\n", "", "max_values is missing"),
    ],
)
def test_mistakes_are_named(compiled: Compile, good: str, bad: str, said: str) -> None:
    assert good in KEYS
    with pytest.raises(AgreementError, match=said):
        compiled(KEYS.replace(good, bad))


def test_words_say_what_nobody_had_in_mind(compiled: Compile) -> None:
    tokens, notary = key_checks(compiled(KEYS))
    said = " ".join(tokens.lets)
    assert "airline and weather_service need nobody's consent" in said
    assert "at most 1,000 guesses" in said
    assert "where no rule of this agreement holds" in said
    assert notary.lets[0] == "nothing happens with it without the signature of airline, for every use"
    assert "does not look at what it signs" in notary.lets[1]


def lets(kind: str, *uses: str) -> str:
    keys = (key_world.key("k", kind, *uses),)
    return " ".join(key_checks(key_world.agreement(bytes(32), keys))[0].lets)


def test_every_purpose_has_its_words() -> None:
    assert "can test a guess with every use" in lets("hmac-sha256", "hmac")
    assert "everybody can encrypt to its public half" in lets("rsa-2048", "decrypt")
    assert "can read whatever any of them has encrypted" in lets("aes-256", "encrypt", "decrypt")
    assert "nobody is agreed who may" in lets("aes-256", "encrypt")
    assert "nobody is agreed who may encrypt" in lets("aes-256", "decrypt")


# (what stands there, what instead, words, effect)
CHANGES = [
    ("max_uses = 50", "max_uses = 51", "key tokens, uses at most: 50 → 51", "looser"),
    ("max_values = 1_000", "max_values = 999", "key tokens, identifiers at most: 1,000 → 999", "stricter"),
    ("per_week = 7\n", "", "key tokens, runs in any 7 days: 7 → none", "looser"),
    ('used_by = ["analyst"]', 'used_by = ["airline", "analyst"]', "who may use it: gained airline", "looser"),
    ('approved_by = ["airline"]', "", "who has to approve every use: lost airline", "looser"),
    (
        'approved_by = ["airline"]',
        'approved_by = ["airline", "weather_service"]',
        "who has to approve every use: gained weather_service",
        "stricter",
    ),
    ('kind = "rsa-3072"', 'kind = "ed25519"', "key notary, kind", ""),
    ('id = "notary"', 'id = "seal"', "key seal: is new", "looser"),
]


@pytest.mark.parametrize(("good", "bad", "words", "effect"), CHANGES)
def test_changes_are_found_and_judged(
    compiled: Compile, good: str, bad: str, words: str, effect: str
) -> None:
    assert good in KEYS
    before, after = compiled(KEYS), compiled(KEYS.replace(good, bad))
    (found,) = [change for change in diff(before, after) if words in change.words]
    assert found.effect == effect


def test_an_agreement_on_keys_alone_is_checked_and_shown(compiled: Compile) -> None:
    agreed = key_world.agreement(bytes(32))
    found = check(agreed, now=NOW, roots=TrustedRoots.aws())
    assert [key.id for key in found.keys] == [key.id for key in agreed.keys]
    warnings = " ".join(found.warnings)
    assert "Keys live as long as the enclave that made them" in warnings
    assert "Runs, in all" not in warnings
    page = leak_report_page(leak_report(found))
    assert "Key tokens, made by the enclave and kept there" in page
    assert "at most 10 guesses" in page
    assert "What every column may be used for" not in page
    assert "made by the enclave" in leak_report_page(
        leak_report(check(compiled(KEYS), now=NOW, roots=TrustedRoots.aws()))
    )


@pytest.mark.parametrize("missing", ["datasets", "queries"])
def test_what_is_computed_needs_both_datasets_and_queries(missing: str) -> None:
    empty: dict[str, object] = {missing: ()}
    for keys in ((), key_world.KEYS):
        with pytest.raises(FormatError, match="empty means nothing is allowed"):
            world.agreement(bytes(32), **{**empty, "keys": keys})


def test_an_agreement_on_nothing_is_none() -> None:
    with pytest.raises(FormatError, match="empty means nothing is allowed"):
        key_world.agreement(bytes(32), ())


def test_where_there_are_no_queries_there_are_no_grants_to_find() -> None:
    with pytest.raises(AgreementError, match="needs no grants"):
        granting(key_world.agreement(bytes(32)))
