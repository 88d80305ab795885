"""The baseline, in a process of its own: plain DuckDB over both files. Prints seconds, peak MiB and rows."""

from __future__ import annotations

import json
import sys
import time

import duckdb

from tests.bench.measuring import peak_mib


def main() -> None:
    """`python -m tests.bench.plain SQL`."""
    connection = duckdb.connect(":memory:")
    connection.execute("SET threads = 2")
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    rows = connection.execute(sys.argv[1]).fetchall()
    took = {"wall_s": time.perf_counter() - began_s, "cpu_s": time.process_time() - began_cpu_s}
    total = sum(row[2] for row in rows)
    print(json.dumps({**took, "peak_mib": peak_mib("self"), "rows": len(rows), "total": total}))


if __name__ == "__main__":
    main()
