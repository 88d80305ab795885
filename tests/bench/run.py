"""Measures the secured path against plain DuckDB on the same files, in one run: `make bench`.

BENCH_ROWS rows a party (default one million), BENCH_ROUNDS interleaved rounds (default five): machines are
noisy, so what counts is the ratio within a round, given as median [smallest - largest].
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tests.bench import attestation, errands, noise, workload
from tests.bench.joint import Round, World
from tests.bench.measuring import spread

_FOLDER: Final = Path("build/bench")
_COLUMNAR_BYTES_A_ROW: Final = {"a": 16 + 2 * 4 + 10 + 9, "b": 16 + 8 + 8}


@dataclass
class Measured:
    """All rounds of one file format."""

    plain: list[dict[str, Any]] = field(default_factory=list)
    secured: list[Round] = field(default_factory=list)

    def ratios(self) -> list[float]:
        """Secured over plain, round by round."""
        return [
            secured.wall_s / plain["wall_s"] for secured, plain in zip(self.secured, self.plain, strict=True)
        ]


def main() -> None:
    """Print everything."""
    rows = int(os.environ.get("BENCH_ROWS", "1000000"))
    rounds = int(os.environ.get("BENCH_ROUNDS", "5"))
    compression = os.environ.get("BENCH_COMPRESSION", "none")
    console = Console(width=150)
    memory_mib = max(1024, rows // 1_000_000 * 700)
    paths = workload.files(_FOLDER, rows)
    console.print(f"{rows:,} rows a party, {rounds} interleaved rounds, compression {compression}")
    with tempfile.TemporaryDirectory() as folder, World(Path(folder), memory_mib) as world:
        measured = {suffix: Measured() for suffix in workload.FORMATS}
        for _ in range(rounds):
            for suffix, kept in measured.items():
                kept.plain.append(_plain(workload.plain_sql(paths, suffix)))
                kept.secured.append(world.play(paths, suffix, compression))
                _require_same(kept.plain[-1], kept.secured[-1])
        _show_ratios(console, measured)
        _show_cpu(console, measured)
        _show_peaks(console, measured, rows)
        stages = {suffix: _stages(Path(folder), paths, suffix, memory_mib) for suffix in workload.FORMATS}
        _show_stages(console, stages)
        _show_guards(console, _guards(Path(folder), paths, memory_mib, rounds))
    console.print(f"verification of one attestation document: {spread(attestation.milliseconds())} ms")
    for what, figures in errands.milliseconds().items():
        console.print(f"{what}: {spread(figures)} ms")
    for mechanism, taken in noise.seconds().items():
        console.print(f"{mechanism} noise on {noise.CELLS} cells of one column: {spread(taken)} s")


def _plain(sql: str) -> dict[str, Any]:
    return _child("tests.bench.plain", sql)


def _stages(folder: Path, paths: dict[tuple[str, str], Path], suffix: str, memory_mib: int) -> dict[str, Any]:
    files = (str(paths["a", suffix]), str(paths["b", suffix]))
    return _child("tests.bench.stages", str(folder / "bench.agreement"), *files, str(memory_mib))


def _guards(folder: Path, paths: dict[tuple[str, str], Path], memory_mib: int, rounds: int) -> dict[str, Any]:
    files = (str(paths["a", "parquet"]), str(paths["b", "parquet"]))
    return _child("tests.bench.guards", str(folder / "bench.agreement"), *files, str(memory_mib), str(rounds))


def _child(module: str, *words: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", module, *words], check=True, stdout=subprocess.PIPE)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _require_same(plain: dict[str, Any], secured: Round) -> None:
    frame = secured.result.frame
    if (len(frame), int(frame["n"].sum())) != (plain["rows"], plain["total"]):
        raise RuntimeError("the secured result is not the plain one")


def _show_ratios(console: Console, measured: dict[str, Measured]) -> None:
    table = Table("files", "plain DuckDB s", "secured s", "of it upload s", "of it run s", "secured / plain")
    for suffix, kept in measured.items():
        table.add_row(
            suffix,
            spread([plain["wall_s"] for plain in kept.plain]),
            spread([secured.wall_s for secured in kept.secured]),
            spread([secured.upload_s for secured in kept.secured]),
            spread([secured.run_s for secured in kept.secured]),
            spread(kept.ratios()),
        )
    console.print(table)


def _show_cpu(console: Console, measured: dict[str, Measured]) -> None:
    roles = list(measured["csv"].secured[0].cpu_s)
    table = Table("processor seconds", "plain DuckDB", *roles, "secured / plain")
    for suffix, kept in measured.items():
        plain = [plain["cpu_s"] for plain in kept.plain]
        seconds = [spread([secured.cpu_s[role] for secured in kept.secured]) for role in roles]
        ratios = [sum(secured.cpu_s.values()) / one for secured, one in zip(kept.secured, plain, strict=True)]
        table.add_row(suffix, spread(plain), *seconds, spread(ratios))
    console.print(table)


def _show_peaks(console: Console, measured: dict[str, Measured], rows: int) -> None:
    roles = list(measured["csv"].secured[0].peaks_mib)
    table = Table("peak memory, MiB", "plain DuckDB", *roles)
    for suffix, kept in measured.items():
        peaks = [spread([secured.peaks_mib[role] for secured in kept.secured], 0) for role in roles]
        table.add_row(suffix, spread([plain["peak_mib"] for plain in kept.plain], 0), *peaks)
    console.print(table)
    columnar_mib = rows * sum(_COLUMNAR_BYTES_A_ROW.values()) / 2**20
    console.print(
        f"the data as plain columns (16-byte keys, text with 4-byte offsets): {columnar_mib:.0f} MiB"
    )


def _show_stages(console: Console, stages: dict[str, dict[str, Any]]) -> None:
    names = list(next(iter(stages.values()))["seconds"])
    table = Table("each stage by itself, s (processor s)", *names, "plaintext MB")
    for suffix, measured in stages.items():
        seconds, cpu_seconds = measured["seconds"], measured["cpu_seconds"]
        plaintext = f"{measured['plaintext'] / 1e6:.0f}"
        cells = (f"{seconds[name]:.2f} ({cpu_seconds[name]:.2f})" for name in names)
        table.add_row(suffix, *cells, plaintext)
    console.print(table)


def _show_guards(console: Console, guards: dict[str, dict[str, list[float]]]) -> None:
    for query, levels in guards.items():
        table = Table(f"guards, query {query}", "s", "with / without")
        without = levels["none"]
        for level, taken in levels.items():
            ratios = [guarded / plain for guarded, plain in zip(taken, without, strict=True)]
            table.add_row(level, spread(taken), spread(ratios))
        console.print(table)


if __name__ == "__main__":
    main()
