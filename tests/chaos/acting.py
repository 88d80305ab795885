"""Processes of parties: started, killed, and started again with the very same command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from scenarios.role import PACKAGES
from tests.chaos.diary import Diary
from tests.chaos.premises import Premises

END_WAIT_S: Final = 120.0
TRY_AGAIN: Final = frozenset({"upload/interrupted", "run/interrupted", "transport/unavailable"})
"""Errors whose hint is to try again: the coordinator was away for longer than a client is patient."""
_ATTEMPTS: Final = 4


class Actor:
    """One person's command, which runs in a process of its own and keeps a diary across all attempts."""

    def __init__(self, premises: Premises, who: str, act: str, job_id: str, *words: str | Path) -> None:
        home = premises.roles[who].home
        self.diary: Final = Diary(home / f"{job_id}.diary")
        self.attempts = 0
        self._errors = home / f"{job_id}.errors"
        self._command: Final = (
            *(sys.executable, "-m", "tests.chaos.party", act, "--coordinator", premises.address),
            *("--job", job_id, "--home", home, "--agreement", premises.agreement_file),
            *("--root", premises.root, "--diary", self.diary.path, *words),
        )
        self._process = self._start()

    @property
    def has_ended(self) -> bool:
        """Whether the process of the latest attempt is over."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.communicate()

    def again(self) -> None:
        """The same command once more."""
        self._process = self._start()

    def finish(self) -> dict[str, Any]:
        """What the command said in the end; tried again for as long as that is what it advises."""
        while True:
            printed, _ = self._process.communicate(timeout=END_WAIT_S)
            if not printed:
                raise AssertionError(f"ended with {self._process.returncode}: {self._errors.read_text()}")
            said: dict[str, Any] = json.loads(printed)
            if said.get("error") not in TRY_AGAIN or self.attempts == _ATTEMPTS:
                return said
            self.again()

    def _start(self) -> subprocess.Popen[str]:
        self.attempts += 1
        with self._errors.open("ab") as errors:
            return subprocess.Popen(
                list(map(str, self._command)),
                cwd=PACKAGES,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
