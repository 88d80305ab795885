"""What the four parties sign: the datasets of `datasets.toml` and the queries of `agreed/`, and no others."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from party_client.agreements import compile_toml
from party_client.identity import Identity
from protos.formats.agreement import Agreement
from tests.world import PCRS

_HERE: Final = Path(__file__).parent
PARTIES: Final = {
    name: Identity.generate(name, name.title()) for name in ("carrier", "maker", "retailer", "wholesaler")
}
ANALYST: Final = Identity.generate("analyst", "An analyst")
_HEAD: Final = """\
id = "tpch"
title = "Decision support over four parties"
purpose = "Answer the queries of TPC-H without one warehouse that holds everything"
valid_from = 2020-01-01T00:00:00Z
valid_until = 2100-01-01T00:00:00Z
limits = {{ memory_mib = {memory_mib}, threads = 2, max_runs = {runs}, tick_s = 0 }}
parties = [{parties}]
analysts = [{{ identity = "analyst.pub" }}]

[[releases]]
name = "test"
pcr0 = "{pcr0}"
pcr1 = "{pcr1}"
pcr2 = "{pcr2}"
root_sha256 = "{root_sha256}"

"""
_QUERY: Final = """
[[queries]]
id = "{name}"
sql = \"\"\"
{sql}\"\"\"
run_by = ["analyst"]
receivers = ["analyst"]
max_runs = 1
"""


def agreed_queries() -> dict[str, str]:
    """SQL by id."""
    return _texts("agreed")


def plain_queries() -> dict[str, str]:
    """TPC-H's own queries by id, for an engine that sees all tables."""
    return _texts("plain")


def agreement(
    folder: Path, *, root_sha256: bytes, memory_mib: int = 512, queries: dict[str, str] | None = None
) -> Agreement:
    """The agreement as it is compiled from the text that is written into `folder`."""
    queries = agreed_queries() if queries is None else queries
    for identity in (*PARTIES.values(), ANALYST):
        identity.public.save(folder / f"{identity.id}.pub")
    head = _HEAD.format(
        memory_mib=memory_mib,
        runs=len(queries),
        parties=", ".join(f'{{ identity = "{name}.pub" }}' for name in PARTIES),
        root_sha256=root_sha256.hex(),
        **{f"pcr{index}": pcr.hex() for index, pcr in enumerate(PCRS)},
    )
    datasets = (_HERE / "datasets.toml").read_text(encoding="utf-8")
    text = head + datasets + "".join(_QUERY.format(name=name, sql=sql) for name, sql in queries.items())
    path = folder / "tpch.toml"
    path.write_text(text, encoding="utf-8")
    return compile_toml(path)


def _texts(folder: str) -> dict[str, str]:
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted((_HERE / folder).glob("*.sql"))}
