"""What `concordat scenario` refuses before it starts anything, and how it shows things."""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from rich.console import Console

from scenarios.acts import Note
from scenarios.catalogue import BANKS
from scenarios.cli import command
from scenarios.place import SIMULATED
from scenarios.presentation import Telling
from scenarios.runner import Outcome, Step


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["tulips"], "'tulips' is not one of 'banks', 'campaign', 'clinic', 'flights'"),
        (["banks", "--rows", "0"], "0 is not in the range x>=1"),
        (["banks", "--keep", "."], "is not empty"),
    ],
)
def test_wrong_usage_is_refused(
    arguments: list[str], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "something").touch()
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert complaint in result.output


def test_a_run_is_told_step_by_step() -> None:
    out = io.StringIO()
    telling = Telling(Console(file=out, width=110, markup=False))
    step = Step("The code of the enclave is measured", (Note("alder", "[bold]the same[/bold]"),), 1.25)
    released = pd.DataFrame({"scheme": ["courier", None], "loss": [Decimal("1234.50"), None]})
    telling.opening(BANKS, SIMULATED)
    telling.begins(step.title)
    telling.ends(step)
    telling.closing(Outcome((step,), released, ("at most 10 groups: fewer than 30 accounts",)))
    shown = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert shown[0] == f"banks {BANKS.question}"
    assert "SIMULATED" in shown[1]
    assert "1 The code of the enclave is measured 1.2 s" in shown
    assert "alder [bold]the same[/bold]" in shown
    assert "courier 1,234.50" in shown
    assert "- -" in shown
    assert "held back at most 10 groups: fewer than 30 accounts" in shown
    assert shown[-1] == "What was released is exactly what pandas computes in clear. 1.2 s in all."
