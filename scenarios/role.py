"""Somebody who takes part: a home folder of their own, and commands that each run in a process of their own.

A role sees its home, what others handed to it, and nothing of this process: the environment is made from
scratch. Every process leads a session of its own, so that Ctrl-C reaches the program that plays the scenario
and nobody else; that program then ends them in order.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from scenarios.errors import CommandError, ScenarioError
from scenarios.interrupts import deferred

PACKAGES: Final = Path(__file__).resolve().parents[1]
COMMAND_TIMEOUT_S: Final = 600
_GRACE_S: Final = 10
_PROGRAM: Final = (sys.executable, "-m", "party_client.cli.main")


class Command:
    """One `concordat` command that is running, or has ended."""

    def __init__(self, role: Role, words: tuple[str, ...], process: subprocess.Popen[str]) -> None:
        self.role = role
        self.words = words
        self.process = process

    def __str__(self) -> str:
        return shlex.join(("concordat", *self.words))

    def finish(self, *, status: int = 0) -> str:
        """Waits for the end with this exit status, gives what was printed.

        Raises `CommandError` with the command's own words.
        """
        try:
            printed, said = self.process.communicate(timeout=COMMAND_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            self.end()
            raise ScenarioError(
                f"{self.role.id}: `{self}` did not end within {COMMAND_TIMEOUT_S} s"
            ) from error
        if self.process.returncode != status:
            message, hint = _complaint(said)
            raise CommandError(f"{self.role.id}: `{self}` was refused: {message}", hint=hint)
        return printed

    def answer(self, *, status: int = 0) -> Any:
        """As `finish`, for a command that was given `--json`: what it printed, parsed."""
        return json.loads(self.finish(status=status))

    def end(self) -> None:
        """Ends the process and what it started, gently first; nothing happens if it has ended."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is not None:
                break
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_GRACE_S)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


class Role:
    """A party, an analyst, the operator: whoever runs `concordat` with a home of their own."""

    def __init__(self, role_id: str, home: Path) -> None:
        self.id = role_id
        self.home = home
        self.settings: dict[str, str] = {}
        """Environment variables beyond the plain ones, such as CONCORDAT_COORDINATOR."""
        self._is_offline = False
        self._started: list[Command] = []
        home.mkdir(mode=0o700, parents=True, exist_ok=True)

    def go_offline(self) -> None:
        """Ends what this role still runs; from now on it does nothing any more."""
        self.end()
        self._is_offline = True

    def come_back(self) -> None:
        """Takes part again."""
        self._is_offline = False

    def begin(self, *words: str | Path, log: Path | None = None) -> Command:
        """Starts `concordat` with these words, in this role's home. With `log`, what it says goes there."""
        said = tuple(map(str, words))
        if self._is_offline:
            raise ScenarioError(f"{self.id} is offline, and was to run `{shlex.join(('concordat', *said))}`")
        with contextlib.ExitStack() as stack:
            output = subprocess.PIPE if log is None else stack.enter_context(log.open("wb")).fileno()
            stack.enter_context(deferred())
            process = subprocess.Popen(
                [*_PROGRAM, *said],
                cwd=self.home,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                text=True,
                start_new_session=True,
            )
            command = Command(self, said, process)
            self._started.append(command)
        return command

    def run(self, *words: str | Path) -> str:
        """Runs a command to its end and gives what it printed. Raises `CommandError`."""
        return self.begin(*words).finish()

    def ask(self, *words: str | Path) -> Any:
        """As `run`, with `--json`: gives the parsed answer."""
        return self.begin(*words, "--json").answer()

    def end(self) -> None:
        """Ends whatever this role still runs, the latest first."""
        with deferred():
            while self._started:
                self._started.pop().end()

    def _environment(self) -> Mapping[str, str]:
        return {
            "PATH": os.defpath,
            "HOME": str(self.home),
            "CONCORDAT_HOME": str(self.home / ".concordat"),
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
            # The packages that this scenario came from, installed or not.
            "PYTHONPATH": str(PACKAGES),
            **self.settings,
        }


def _complaint(said: str) -> tuple[str, str | None]:
    """The command's `error:` and `hint:` lines, or the last thing that it said."""
    lines = said.strip().splitlines() or ["nothing"]
    found = dict(line.split(": ", 1) for line in lines if line.startswith(("error: ", "hint: ")))
    return found.get("error", lines[-1]), found.get("hint")
