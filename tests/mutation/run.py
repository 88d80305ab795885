"""How many mutants the tests notice: `python -m tests.mutation.run [MODULE …]`.

    --limit N      at most N mutants of a module, drawn the same way each time (80)
    --minutes N    begin no further module after this long
    --list         only list the mutants

Copies the repository to a temporary folder and works there. Ends with a table and the survivors, in Markdown.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.mutation import trial
from tests.mutation.mutants import Mutant, mutants
from tests.mutation.targets import TARGETS, Target
from tests.mutation.trial import Verdict

_REPOSITORY: Final = Path(__file__).resolve().parents[2]
_NOT_COPIED: Final = shutil.ignore_patterns(".*", "build", "dist", "run", "docs", "__pycache__")
_COPY: Final = "CONCORDAT_MUTATION_COPY"
_LONGER: Final = 5
_LEAST_LIMIT_S: Final = 20.0


@dataclass
class Score:
    """What became of the mutants of one module."""

    module: str
    of: int
    """Mutants that there are; fewer may have been drawn."""
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    survivors: list[Mutant] = field(default_factory=list)

    def row(self) -> str:
        """A line of the table."""
        tried = sum(self.verdicts.values())
        noticed = tried - self.verdicts[Verdict.SURVIVED]
        return f"| `{self.module}` | {self.of} | {tried} | {noticed} | {len(self.survivors)} |"


def main() -> int:
    """Runs the command line; 1 when a mutant survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation.run", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="part of a path; all unless given")
    parser.add_argument("--limit", type=int, default=80)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--list", action="store_true")
    given = parser.parse_args()
    chosen = [
        one for one in TARGETS if not given.modules or any(part in one.module for part in given.modules)
    ]
    if given.list:
        for target in chosen:
            for mutant in mutants((_REPOSITORY / target.module).read_text()):
                _say(f"{target.module}:{mutant.line}: {mutant.what}")
        return 0
    if _COPY not in os.environ:
        return _run_in_a_copy()
    trial.prepare()
    until_s = time.monotonic() + 60 * given.minutes
    scores = [_score(target, given.limit) for target in chosen if time.monotonic() < until_s]
    _say("\n| module | mutants | tried | noticed | survived |\n|---|--:|--:|--:|--:|")
    for score in scores:
        _say(score.row())
    return int(any(score.survivors for score in scores))


def _run_in_a_copy() -> int:
    with tempfile.TemporaryDirectory(prefix="concordat-mutation-") as folder:
        copy = Path(folder) / "repository"
        shutil.copytree(_REPOSITORY, copy, ignore=_NOT_COPIED, symlinks=True)
        environment = {**os.environ, _COPY: str(copy), "PYTHONPATH": str(copy)}
        command = [sys.executable, "-m", "tests.mutation.run", *sys.argv[1:]]
        return subprocess.run(command, cwd=copy, env=environment, check=False).returncode


def _score(target: Target, limit: int) -> Score:
    path = Path(target.module)
    found = list(mutants(path.read_text()))
    drawn = found
    if len(found) > limit:
        drawn = sorted(random.Random(target.module).sample(found, limit), key=lambda one: one.line)
    score = Score(target.module, len(found))
    begun_s = time.monotonic()
    # Written as the mutants are, but without a change: what the tests notice is then the change.
    with trial.rewritten(path, ast.unparse(ast.parse(path.read_text()))):
        verdict = trial.judge(target.tests, limit_s=600, is_silent=False)
    if verdict is not Verdict.SURVIVED:
        raise SystemExit(f"error: the tests of {target.module} fail without any mutant")
    limit_s = max(_LEAST_LIMIT_S, _LONGER * (time.monotonic() - begun_s))
    for mutant in drawn:
        with trial.rewritten(path, mutant.source):
            verdict = trial.judge(target.tests, limit_s=limit_s)
        score.verdicts[verdict] += 1
        if verdict is Verdict.SURVIVED:
            score.survivors.append(mutant)
            _say(f"- `{target.module}:{mutant.line}`: {mutant.what}")
    _say(f"{target.module}: {dict(score.verdicts)} of {len(found)} in {time.monotonic() - begun_s:.0f} s")
    return score


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
