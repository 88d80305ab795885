"""The end of a release, as its parties agree on it: one proposes, all sign, and the agreement's file has it.

Every step is a command of a party in its own home. Raises `ScenarioError`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from scenarios.role import Role

_NEXT_DAYS: Final = 90


def end_release(agreement: Path, parties: Sequence[Role], *, next_release: str, table: Path) -> None:
    """Ends the one release of `agreement` now, and adds `next_release`, an entry in TOML."""
    first, *_ = parties
    added, change = table / "next.toml", table / "end.change"
    now = datetime.now(UTC).replace(microsecond=0)
    until = now + timedelta(days=_NEXT_DAYS)
    (ended,) = tomllib.loads((table / "release.toml").read_text(encoding="utf-8"))["releases"]
    validity = f"valid_from = {now.isoformat()}\nvalid_until = {until.isoformat()}\n"
    added.write_text(next_release + validity, encoding="utf-8")
    first.run(
        *("agreement", "release-change", "propose", agreement, "--add", added),
        *("--end", f"{ended['name']}={now.isoformat()}", "-o", change),
    )
    signing = [
        party.begin(
            *("agreement", "release-change", "sign", agreement, change),
            *("--identity", f"{party.id}.key", "--yes"),
        )
        for party in parties
    ]
    for command in signing:
        command.finish()
    approvals = sorted(table.glob("end.change.*.approval"))
    first.run("agreement", "release-change", "apply", agreement, change, *approvals)
