"""Identities: what the seed determines, what the files protect, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from party_client.files import ExposedFileError, FileAccessError, FileExistsAlreadyError
from party_client.identity import Identity, PublicIdentity, fingerprint, is_locked
from party_client.identity_file import IdentityFileError
from party_client.passphrase import PassphraseError
from protos.formats import hpke
from protos.formats.errors import FormatError

SEED = bytes(range(32))


@pytest.fixture(scope="module")
def locked_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("locked") / "airline.key"
    Identity("airline", "Wright", SEED).save(path, "pássword")
    return path


def changed(path: Path, change: dict[str, Any], target: Path) -> Path:
    """A copy of an identity file with other fields; None takes one away."""
    fields = json.loads(path.read_text())
    fields.update(change)
    target.write_text(json.dumps({key: value for key, value in fields.items() if value is not None}))
    target.chmod(0o600)
    return target


def test_seed_determines_both_keys() -> None:
    """Pins the derivation: another label or hash would lock everybody out of their old results."""
    public = Identity("airline", "Wright", SEED).public
    assert public.signing_key.hex() == "4e9239cfafdcc3d482bfe4a7dcd257c2cd2dfa9d2d03c1f385b541cc1402b9f9"
    assert public.receiving_key.hex()[:32] == "31398a211809ae7606c34c561861b2aa"
    assert public.fingerprint() == "l3nq-ffi7-jmaj-xhbo-y7j6-2ifi-tcrm-ay3k"


def test_keys_work_and_are_independent() -> None:
    one, other = Identity.generate("a", "A"), Identity.generate("a", "A")
    sealed = hpke.seal(b"result", public_key=one.public.receiving_key, info=b"i")
    assert one.receiving_key.open(sealed, info=b"i") == b"result"
    one.signing_key.public_key().verify(one.signing_key.sign(b"m"), b"m")
    assert one.public.signing_key != other.public.signing_key
    assert one.public.receiving_key != other.public.receiving_key


def test_fingerprint_covers_id_name_and_keys() -> None:
    base = Identity("airline", "Wright", SEED).public
    others = [
        Identity("airlines", "Wright", SEED).public,
        Identity("airline", "Wrong", SEED).public,
        PublicIdentity("airline", "Wright", bytes(32), base.receiving_key),
        PublicIdentity("airline", "Wright", base.signing_key, bytes(hpke.PUBLIC_KEY_BYTES)),
    ]
    assert len({base.fingerprint(), *(other.fingerprint() for other in others)}) == 5
    assert fingerprint(base.participant()) == base.fingerprint()


def test_text_form_shows_no_secret() -> None:
    identity = Identity("airline", "Wright", SEED)
    assert SEED.hex() not in repr(identity) + str(identity)


def test_private_file_round_trip_and_mode(tmp_path: Path) -> None:
    identity = Identity.generate("airline", "Wright Ægir")
    path = tmp_path / "airline.key"
    old = os.umask(0)
    try:
        identity.save(path)
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o600
    loaded = Identity.load(path)
    assert loaded.public == identity.public
    assert not is_locked(path)


def test_public_file_round_trip(tmp_path: Path) -> None:
    public = Identity.generate("airline", "Wright").public
    public.save(tmp_path / "airline.pub")
    assert PublicIdentity.load(tmp_path / "airline.pub") == public


def test_locked_file_opens_with_its_passphrase_only(locked_file: Path) -> None:
    assert is_locked(locked_file)
    assert SEED.hex() not in locked_file.read_text()
    # The same word, typed on a keyboard that composes the accent.
    assert Identity.load(locked_file, "pa\u0301ssword").public == Identity("airline", "Wright", SEED).public
    with pytest.raises(PassphraseError, match="wrong"):
        Identity.load(locked_file, "password")
    with pytest.raises(PassphraseError, match="locked"):
        Identity.load(locked_file)


def test_locked_file_binds_its_head(locked_file: Path, tmp_path: Path) -> None:
    path = changed(locked_file, {"name": "Wrong"}, tmp_path / "airline.key")
    with pytest.raises(PassphraseError, match="changed"):
        Identity.load(path, "pássword")


@pytest.mark.parametrize(
    "change",
    [
        {"kdf": "scrypt N=2 r=8 p=1"},
        {"salt": "00"},
        {"sealed": "zz"},
        {"nonce": 7},
        {"extra": 1},
        {"nonce": None},
    ],
)
def test_locked_file_of_another_kind_is_refused(
    locked_file: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    box = json.loads(locked_file.read_text())["locked"] | change
    box = {key: value for key, value in box.items() if value is not None}
    path = changed(locked_file, {"locked": box}, tmp_path / "airline.key")
    with pytest.raises(IdentityFileError):
        Identity.load(path, "pássword")


def test_empty_passphrase_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PassphraseError, match="empty"):
        Identity.generate("a", "A").save(tmp_path / "a.key", "")
    assert not (tmp_path / "a.key").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    first, second = Identity.generate("a", "A"), Identity.generate("a", "A")
    first.save(tmp_path / "a.key")
    with pytest.raises(FileExistsAlreadyError, match="nothing was written"):
        second.save(tmp_path / "a.key")
    assert Identity.load(tmp_path / "a.key").public == first.public


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_private_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.key"
    Identity.generate("a", "A").save(path)
    path.chmod(mode)
    with pytest.raises(ExposedFileError, match=f"{mode:04o}") as caught:
        Identity.load(path)
    assert f"chmod 600 {path}" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "change",
    [
        {"id": "airlines"},
        {"name": "Wrong"},
        {"seed": "00" * 32},
        {"seed": "00" * 31},
        {"seed": 5},
        {"seed": None},
        {"fingerprint": "aaaa"},
        {"fingerprint": "\ud800"},
        {"id": "Not an id"},
        {"id": ["airline"]},
        {"name": ""},
        {"label": "concordat/identity-private/v2"},
        {"note": "a field of somebody's own"},
    ],
)
def test_changed_private_file_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    Identity("airline", "Wright", SEED).save(tmp_path / "good.key")
    path = changed(tmp_path / "good.key", change, tmp_path / "bad.key")
    with pytest.raises(IdentityFileError) as caught:
        Identity.load(path)
    assert "00" * 31 not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"signing_key": "AAAA"},
        {"signing_key": "not base64!"},
        {"receiving_key": None},
        {"receiving_key": 1},
        {"id": "Airline"},
        {"name": "right\u202eleft"},
        {"extra": True},
    ],
)
def test_changed_public_file_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    Identity("airline", "Wright", SEED).public.save(tmp_path / "good.pub")
    path = changed(tmp_path / "good.pub", change, tmp_path / "bad.pub")
    with pytest.raises(IdentityFileError, match=str(path)):
        PublicIdentity.load(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"null", b"\xff\xfe\x00", b"{", b"[" * 10_000, b'{"id": "a", "id": "b"}', b"9" * 5000],
)
def test_file_that_is_no_identity_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.pub"
    path.write_bytes(content)
    with pytest.raises(IdentityFileError):
        PublicIdentity.load(path)


def test_private_key_given_as_public_one_says_so(tmp_path: Path) -> None:
    Identity.generate("a", "A").save(tmp_path / "a.key")
    with pytest.raises(IdentityFileError, match="private key") as caught:
        PublicIdentity.load(tmp_path / "a.key")
    assert "never send" in (caught.value.hint or "")


def test_what_is_no_file_or_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "large.pub").write_bytes(b" " * 20_000)
    for name, complaint in (
        ("large.pub", "larger"),
        ("missing.pub", "no such file"),
        (".", "cannot be read"),
    ):
        with pytest.raises(FileAccessError, match=complaint):
            PublicIdentity.load(tmp_path / name)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_seed_has_one_length(length: int) -> None:
    with pytest.raises(FormatError, match="32"):
        Identity("a", "A", bytes(length))
