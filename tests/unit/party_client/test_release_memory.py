"""What a party has seen of release changes, when two of its commands look at once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from party_client import files
from party_client.release_memory import require_not_older
from protos.release.errors import ChangeOrderError
from protos.release.history import AgreedReleases, SignedChange, verify_changes_untrusted
from tests import releases_world as world
from tests.world import ADVERTISER, PUBLISHER, VALID_UNTIL_S


def agreed_after(count: int) -> AgreedReleases:
    """The agreement with its first `count` changes, each of which ends the release it began with earlier."""
    agreement = world.agreed_on()
    (release,) = agreement.releases
    signed: list[SignedChange] = []
    for number in range(count):
        before = verify_changes_untrusted(agreement, signed)
        change = world.change(
            agreement,
            number=number + 1,
            previous=before.head,
            added=(),
            ended=(world.ended(release, VALID_UNTIL_S - 1000 * (number + 1)),),
        )
        signed.append(world.signed(change, PUBLISHER, ADVERTISER))
    return verify_changes_untrusted(agreement, signed)


def test_a_slower_command_does_not_put_back_what_it_read_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, newer_is_through = files.replace, threading.Event()

    def slowly(path: Path, data: bytes) -> None:
        if threading.current_thread() is older:
            newer.start()
            newer_is_through.wait(0.5)  # which it cannot be as long as this one holds the folder
        write(path, data)

    def look_with_newer() -> None:
        require_not_older(agreed_after(2), tmp_path)
        newer_is_through.set()

    older = threading.Thread(target=require_not_older, args=(agreed_after(1), tmp_path))
    newer = threading.Thread(target=look_with_newer)
    monkeypatch.setattr(files, "replace", slowly)
    older.start()
    older.join()
    newer.join()
    with pytest.raises(ChangeOrderError, match="this client has relied on 2"):
        require_not_older(agreed_after(1), tmp_path)


def test_nothing_is_written_where_there_is_nothing_to_remember(tmp_path: Path) -> None:
    require_not_older(agreed_after(0), tmp_path / "releases")
    assert not (tmp_path / "releases").exists()
