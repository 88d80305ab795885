"""Keys in KMS, from an agreement's TOML to what `check`, `show`, `diff` and the page say of them."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from rich.console import Console

from party_client.agreements import check, compile_toml, diff
from party_client.agreements.errors import AgreementTextError, UnknownKeyError
from party_client.attestation import TrustedRoots
from party_client.cli.agreement_text import render_agreement, render_changes, render_report
from party_client.kms.authorities import amazon_authorities, as_pem, load_authorities
from party_client.kms.errors import AuthorityFileError
from party_client.leak_report import leak_report
from party_client.pages.leak_report_page import leak_report_page
from protos.formats.agreement import Agreement
from scenarios.machine.pki import load_or_create_root
from tests.unit.party_client.written_agreement import write

NOW = datetime(2026, 6, 1, tzinfo=UTC)
OF_FLIGHTS = "max_rows = 1_000_000\n"
KMS = 'kms = { account = "111122223333", region = "eu-central-1", role = "enclave" }\n'
STATE = f'[state]\nparty = "airline"\n{KMS}witnesses = ["weather_service", "airline"]\n'
AMAZON_PUBLIC_KEYS = {
    "CN=Amazon Root CA 1": "fbe3018031f9586bcbf41727e417b7d1c45c2f47f93be372a17b96b50757d5a2",
    "CN=Amazon Root CA 2": "7f4296fc5b6a4e3b35d3c369623e364ab1af381d8fa7121533c9d6c633ea2461",
    "CN=Amazon Root CA 3": "36abc32656acfc645c61b71613c4bf21c787f5cabbee48348d58597803d7abc9",
    "CN=Amazon Root CA 4": "f7ecded5c66047d28ed6466b543c40e0743abe81d109254dcf845d4c2c7853c5",
}
"""SHA-256 of each root's public key, as https://www.amazontrust.com/repository/ lists them."""


def compiled(folder: Path, kms: str = KMS, state: str = "") -> Agreement:
    changes = {OF_FLIGHTS: OF_FLIGHTS + kms, "[[releases]]\n": f"{state}[[releases]]\n"}
    return compile_toml(write(folder, changes))


def shown(agreement: Agreement) -> tuple[str, str, str]:
    """(check, show, page)."""
    report = leak_report(check(agreement, now=NOW, roots=TrustedRoots.aws()))
    checked, whole = Console(file=io.StringIO(), width=300), Console(file=io.StringIO(), width=300)
    render_report(report, checked)
    render_agreement(agreement, whole)
    return printed(checked), printed(whole), leak_report_page(report)


def printed(out: Console) -> str:
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_the_roots_are_those_that_amazon_publishes() -> None:
    found = {}
    for der in amazon_authorities():
        certificate = x509.load_der_x509_certificate(der)
        key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        name = certificate.subject.rfc4514_string().partition(",")[0]
        found[name] = hashlib.sha256(key).hexdigest()
        certificate.verify_directly_issued_by(certificate)
    assert found == AMAZON_PUBLIC_KEYS


def test_three_words_are_enough_for_aws(tmp_path: Path) -> None:
    service = compiled(tmp_path).dataset("flights").kms
    assert service is not None
    assert (service.account, service.region, service.role) == ("111122223333", "eu-central-1", "enclave")
    assert service.endpoint == "kms.eu-central-1.amazonaws.com:443"
    assert service.authorities == amazon_authorities()
    assert compiled(tmp_path).dataset("weather").kms is None


def test_a_table_of_its_own_is_the_same(tmp_path: Path) -> None:
    table = '[datasets.kms]\naccount = "111122223333"\nregion = "eu-central-1"\nrole = "enclave"\n'
    moved = write(tmp_path, {'crew = { type = "text" }\n': f'crew = {{ type = "text" }}\n{table}'})
    assert compile_toml(moved).digest() == compiled(tmp_path).digest()


def test_another_endpoint_under_another_authority(tmp_path: Path) -> None:
    load_or_create_root(tmp_path / "simulator")
    authorities = (tmp_path / "simulator" / "root.pem").read_bytes()
    (tmp_path / "their.pem").write_bytes(authorities)
    other = KMS.replace(" }", ', endpoint = "localhost:4566", authorities = "their.pem" }')
    agreement = compiled(tmp_path, other)
    service = agreement.dataset("flights").kms
    assert service is not None
    assert (service.host, service.port) == ("localhost", 4566)
    assert as_pem(service.authorities) == as_pem(load_authorities(tmp_path / "their.pem"))
    report, listing, page = shown(agreement)
    for text in (report, listing, page):
        assert "at localhost:4566 (NOT AWS: under another authority)" in text
    assert "Whoever runs it can open flights" in report


@pytest.mark.parametrize(
    ("kms", "message"),
    [
        ('kms = { account = "1", region = "eu-central-1", role = "enclave" }\n', "kms: account: got '1'"),
        (KMS.replace("eu-central-1", "nowhere"), "region: got 'nowhere'"),
        (KMS.replace(" }", ', endpoint = "KMS" }'), "endpoint: got 'KMS'"),
        ('kms = { account = "111122223333", region = "eu-central-1" }\n', "`role` is missing"),
        (KMS.replace(" }", ", port = 1 }"), "unknown key `port`"),
        (
            'kms = "arn:aws:kms:eu-central-1:111122223333:key/1"\n',
            "`kms` is text in quotes, expected a table",
        ),
    ],
)
def test_what_is_written_wrong_is_named(tmp_path: Path, kms: str, message: str) -> None:
    with pytest.raises((AgreementTextError, UnknownKeyError)) as caught:
        compiled(tmp_path, kms)
    assert message in caught.value.message
    assert caught.value.message.startswith("flights.toml: [[datasets]] flights")


def test_a_file_without_certificates_vouches_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("nobody\n")
    with pytest.raises(AuthorityFileError, match="not certificates in PEM"):
        compiled(tmp_path, KMS.replace(" }", ', authorities = "none.pem" }'))


def test_state_names_its_witnesses(tmp_path: Path) -> None:
    agreement = compiled(tmp_path, "", STATE)
    assert agreement.state is not None
    assert agreement.state.witnesses == ("airline", "weather_service")
    assert agreement.state.kms.role_arn == "arn:aws:iam::111122223333:role/enclave"
    report, listing, page = shown(agreement)
    for text in (report, listing, page):
        assert "only when airline and weather_service say which state is the latest" in text
    assert "is its only witness" not in report
    alone = STATE.replace('["weather_service", "airline"]', '["airline"]')
    assert (
        "airline has the key of enclaves' state and is its only witness"
        in shown(compiled(tmp_path, "", alone))[0]
    )
    both = shown(compiled(tmp_path, KMS, STATE))[0]
    assert "the counts of runs begin again in each" not in both
    with pytest.raises(AgreementTextError, match="witnesses"):
        compiled(tmp_path, "", STATE.replace('["weather_service", "airline"]', "[]"))


def test_people_are_told_what_they_sign(tmp_path: Path) -> None:
    report, listing, page = shown(compiled(tmp_path))
    for text in (report, listing, page):
        assert "AWS account 111122223333, eu-central-1, for the role enclave" in text
        assert "NOT AWS" not in text.partition("key of airline")[2][:200]
    for text in (report, page):
        assert "airline need not be there when it is used" in text
        assert "the counts of runs begin again in each" in text
    plain = shown(compiled(tmp_path, ""))
    assert all("KMS" not in text for text in plain)


def test_who_begins_the_count_again(tmp_path: Path) -> None:
    """Where all data of a query may wait, no party is asked any more."""
    sent, waits = "begins to count again, when the parties send it", "begins to count again, with what waits"
    assert sent in shown(compiled(tmp_path))[2]
    everything = all_under_keys(compiled(tmp_path))
    assert waits in shown(everything)[2]
    assert sent not in shown(everything)[2]
    goes_on = shown(compiled(tmp_path, KMS, STATE))[2]
    assert "goes on with the count, over the same data, if the witnesses" in goes_on
    assert sent not in goes_on


def all_under_keys(agreement: Agreement) -> Agreement:
    service = agreement.dataset("flights").kms
    datasets = tuple(replace(dataset, kms=service) for dataset in agreement.datasets)
    return replace(agreement, datasets=datasets)


def test_differences_name_what_changed(tmp_path: Path) -> None:
    without, with_it = compiled(tmp_path, ""), compiled(tmp_path)
    (gained,) = diff(without, with_it)
    assert gained.effect == "looser"
    assert gained.words.startswith("dataset flights, key in KMS: none → ")
    assert "account 111122223333" in gained.words
    (lost,) = diff(with_it, without)
    assert lost.effect == "stricter"
    (moved,) = diff(with_it, compiled(tmp_path, KMS.replace('"enclave"', '"other"')))
    assert moved.words == "dataset flights, key in KMS, enclave's role: 'enclave' → 'other'"
    (state,) = diff(without, compiled(tmp_path, "", STATE))
    assert "who witnesses (airline, weather_service)" in state.words
    out = Console(file=io.StringIO(), width=400)
    render_changes([gained, lost, moved, state], out)
    text = printed(out)
    assert "b'" not in text
    assert "who vouches for the endpoint (SHA-256 " in text
