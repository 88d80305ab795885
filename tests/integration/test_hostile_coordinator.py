"""The scenario with the hostile coordinator: every treachery is refused, by whom and as it should be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from protos.formats.receipt import Claims, Receipt
from scenarios.hostile.mischief import Mischief, Refuser, Step
from scenarios.hostile.mischiefs import ALL, datasets
from scenarios.hostile.play import Attempt, Play, prepared
from scenarios.hostile.presentation import facts

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Played:
    """A whole play, and what the coordinator holds in the end."""

    play: Play
    attempts: list[Attempt]

    def of(self, mischief: Mischief) -> Attempt:
        (attempt,) = (item for item in self.attempts if item.mischief is mischief)
        return attempt


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    with prepared(Path(tmp_path_factory.mktemp("hostile"))) as play:
        yield Played(play, list(play.attempts()))


@pytest.mark.parametrize("mischief", ALL, ids=lambda mischief: mischief.name)
def test_treachery_is_refused(played: Played, mischief: Mischief) -> None:
    attempt = played.of(mischief)
    assert attempt.error is not None, "it went through"
    assert (attempt.refuser, attempt.code) == (mischief.refuser, mischief.code), attempt.error.message


def test_honest_runs_release_the_agreed_result(played: Played) -> None:
    first, last = (item for item in played.attempts if item.mischief.is_honest)
    assert (first, last) == (played.attempts[0], played.attempts[-1])
    assert first.error is None
    assert last.error is None
    assert facts(played.attempts)["held"]


def test_nothing_is_sealed_for_an_enclave_that_was_not_verified(played: Played) -> None:
    _, second = (job for job in played.play.holdings.jobs.values() if not job.failure)
    reached = [item for item in ALL if item.step is Step.SEND and type(item).__module__ == datasets.__name__]
    assert 0 < len(reached) < sum(item.step is Step.SEND for item in ALL)
    assert len(second.uploads) == len(reached) + len(played.play.people.agreement.parties)


def test_refused_requests_cost_nothing(played: Played) -> None:
    _, second = (job for job in played.play.holdings.jobs.values() if not job.failure)
    delivered = [items["analyst"] for items in second.deliveries.values() if "analyst" in items]
    claims = Claims.decode_untrusted(Receipt.decode_untrusted(delivered[-1].receipt).claims)
    assert claims.runs_left == played.play.people.agreement.query("revenue").max_runs - 2
    assert any(item.groups_at_most for item in claims.suppressed), "something was held back to lie about"


def test_the_scenario_s_page_lists_every_treachery() -> None:
    page = (ROOT / "scenarios" / "hostile" / "README.md").read_text(encoding="utf-8")
    listed = [
        line.strip("| ").split(" | ") for line in page.splitlines() if re.search(r"` \| [\d, ]+ \|$", line)
    ]
    refusers = {Refuser.ENCLAVE: "enclave", Refuser.CLIENT: "{}'s client"}
    assert listed == [
        [
            *(item.step, item.deed, refusers[item.refuser].format(item.victim)),
            *(f"`{item.code}`", ", ".join(map(str, item.attacks))),
        ]
        for item in ALL
    ]


def test_every_treachery_is_one_of_the_threat_model() -> None:
    page = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
    rows = {int(number) for number in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert len({item.name for item in ALL}) == len(ALL)
    assert [item.name for item in ALL if not item.attacks or not rows.issuperset(item.attacks)] == []
