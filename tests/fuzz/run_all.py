"""Runs every fuzz target in turn and prints the table of `docs/fuzzing.md`.

    python -m tests.fuzz.run_all SECONDS [NAME…]

A finding is an artifact in `build/fuzz`; the command ends with 1 when there is one. Corpora stay there too.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.meta.repository import ROOT

BUILD = ROOT / "build/fuzz"
TARGETS = sorted(path.stem.removeprefix("fuzz_") for path in Path(__file__).parent.glob("fuzz_*.py"))


def run(name: str, seconds: int) -> tuple[str, bool]:
    """(row of the table, whether nothing was found) of one target."""
    corpus, log = BUILD / f"fuzz_{name}", BUILD / f"fuzz_{name}.log"
    corpus.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        finished = subprocess.run(
            [
                *(sys.executable, "-m", f"tests.fuzz.fuzz_{name}", str(corpus)),
                *(f"-max_total_time={seconds}", f"-artifact_prefix={corpus}-", "-print_final_stats=1"),
            ],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    printed = log.read_text(encoding="utf-8", errors="replace")
    executed = re.search(r"^Done (\d+) runs", printed, re.MULTILINE)
    covered = re.findall(r"\bcov: (\d+)", printed)
    clean = finished.returncode == 0 and executed is not None and bool(covered)
    found = "none" if clean else f"see `{log.relative_to(ROOT)}`"
    figures = f"{int(executed[1]):,} | {covered[-1]}" if executed and covered else "- | -"
    return f"| `{name}` | {seconds} | {figures} | {found} |", clean


def main() -> int:
    """The exit status: 0 when no target found anything."""
    seconds, names = int(sys.argv[1]), sys.argv[2:] or TARGETS
    print("| target | seconds | executions | edges | findings |\n|---|---|---|---|---|")
    all_clean = True
    for name in names:
        row, clean = run(name, seconds)
        all_clean &= clean
        print(row, flush=True)
    return 0 if all_clean else 1


if __name__ == "__main__":
    sys.exit(main())
