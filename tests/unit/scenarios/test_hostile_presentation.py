"""A treachery that goes through, or is refused otherwise than expected, makes the scenario fail."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from protos.formats.errors import ConcordatError, SealError, SignatureError
from scenarios.hostile import command
from scenarios.hostile.command import TreacheryError, play_hostile
from scenarios.hostile.mischief import Mischief
from scenarios.hostile.mischiefs.agreements import SignatureNobodyGave
from scenarios.hostile.mischiefs.datasets import ChunkDropped
from scenarios.hostile.play import HONEST, Attempt

FORGED, DROPPED = SignatureNobodyGave(), ChunkDropped()
REFUSED = Attempt(FORGED, SignatureError("not the advertiser's", hint="tell the others"))


class PlayedBefore:
    """A play whose attempts are known."""

    def __init__(self, attempts: Sequence[Attempt]) -> None:
        self._attempts = attempts

    def attempts(self) -> Iterator[Attempt]:
        yield from self._attempts


def show(monkeypatch: pytest.MonkeyPatch, *attempts: Attempt, as_json: bool = False) -> None:
    @contextlib.contextmanager
    def prepared(_folder: Path) -> Iterator[PlayedBefore]:
        yield PlayedBefore(attempts)

    monkeypatch.setattr(command, "prepared", prepared)
    play_hostile(Path(), as_json=as_json)


def test_what_is_refused_is_shown_with_its_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    by_enclave = Attempt(DROPPED, SealError("the coordinator says: out-of-order"), "out-of-order")
    show(monkeypatch, Attempt(HONEST, None), REFUSED, by_enclave)
    shown = capsys.readouterr().out
    for text in (
        "SIMULATED",
        "publisher's client",
        "not the advertiser's",
        "tell the others",
        "refused by the enclave",
    ):
        assert text in shown
    assert "2 of 2 treacheries were refused" in shown


@pytest.mark.parametrize(
    ("mischief", "error", "enclave_said"),
    [
        (FORGED, None, ""),
        (FORGED, SealError("another reason"), ""),
        (FORGED, SignatureError("signature/invalid"), "signature/invalid"),
        (DROPPED, SealError("only the client saw it"), ""),
        (DROPPED, SealError("nobody was told"), "out-of-order"),
        (HONEST, SealError("honest, and refused"), ""),
    ],
    ids=["went through", "another reason", "another refuser", "not by the enclave", "not told", "honest"],
)
def test_what_is_not_refused_as_expected_fails(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    mischief: Mischief,
    error: ConcordatError | None,
    enclave_said: str,
) -> None:
    attempt = Attempt(mischief, error, enclave_said)
    with pytest.raises(TreacheryError, match=mischief.name):
        show(monkeypatch, REFUSED, attempt)
    assert "1 of 2" in capsys.readouterr().out or mischief.is_honest
    with pytest.raises(TreacheryError):
        show(monkeypatch, REFUSED, attempt, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["held"] is False
    assert [item["as_expected"] for item in told["attempts"]] == [True, False]


def test_words_of_the_coordinator_are_not_formatting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    show(monkeypatch, Attempt(FORGED, SignatureError("[bold]\x1b[2Jall is well[/bold]")))
    assert r"[bold]\x1b[2Jall is well[/bold]" in capsys.readouterr().out
