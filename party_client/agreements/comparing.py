"""What differs between two agreements, item by item, in words, and whether it lets more or less happen.

Any change is another agreement with another digest, to be signed anew; this says what the new signature would
be for. The comparison runs over the canonical values, so nothing that the digest covers can differ unseen.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from party_client.agreements.wording import direction, names_of, noun, value_text
from protos.formats import canonical, limits
from protos.formats.agreement import Agreement

Path: TypeAlias = tuple[str, ...]
_KEYED: Final = {
    "analysts": "id",
    "columns": "name",
    "datasets": "id",
    "keys": "id",
    "parameters": "name",
    "parties": "id",
    "privacy": "owner",
    "queries": "id",
    "releases": "name",
}
_FIRST: Final = (
    *("id", "title", "purpose", "parties", "analysts", "datasets", "privacy", "queries", "keys", "releases"),
)
_SETS: Final = frozenset(
    {
        *("analyses", "approved_by", "choices", "forbidden", "joined_with", "only_queries"),
        *("receivers", "run_by", "used_by", "uses", "witnesses"),
    }
)


@dataclass(frozen=True)
class Change:
    """One difference, from the first agreement to the second."""

    path: str
    """Where: `datasets.flights.columns.dep_delay.uses`."""
    words: str
    effect: str
    """`looser`: more can happen than before; `stricter`: less; empty: neither, or it depends."""
    before: Any
    after: Any
    """Canonical values (bytes for keys and measurements); None where there is nothing."""
    lines: tuple[str, ...] = ()
    """For a text of several lines: a unified diff."""


def diff(before: Agreement, after: Agreement) -> list[Change]:
    """Every difference, people first; empty if and only if the digests are equal."""
    old, new = _value(before), _value(after)
    keys = (*_FIRST, *(key for key in old if key not in _FIRST))
    return [change for key in keys for change in _compare((key,), old[key], new[key])]


def _value(agreement: Agreement) -> Any:
    return canonical.decode_untrusted(
        agreement.encode(), max_bytes=limits.AGREEMENT_MAX_BYTES, what="agreement"
    )


def _compare(path: Path, before: Any, after: Any) -> Iterator[Change]:
    if before == after:
        return
    key = path[-1]
    if isinstance(before, dict) and isinstance(after, dict):
        # Weights of noise are a map by output, of which either side may have more.
        for name in {**before, **after}:
            yield from _compare((*path, name), before.get(name), after.get(name))
    elif key in _KEYED and isinstance(before, list) and isinstance(after, list):
        yield from _compare_items(path, before, after)
    elif key in _SETS and isinstance(before, list) and isinstance(after, list):
        yield _compare_sets(path, before, after)
    else:
        yield _compare_values(path, before, after)


def _compare_items(path: Path, before: list[Any], after: list[Any]) -> Iterator[Change]:
    """Lists of things that have names: gone, new, changed, and in another order."""
    old, new = names_of(before, _KEYED[path[-1]]), names_of(after, _KEYED[path[-1]])
    for name, item in old.items():
        if name in new:
            yield from _compare((*path, name), item, new[name])
        else:
            yield _change((*path, name), "is gone", item, None)
    for name, item in new.items():
        if name not in old:
            yield _change((*path, name), "is new", None, item)
    kept_old, kept_new = [name for name in old if name in new], [name for name in new if name in old]
    if kept_old != kept_new:
        yield _change(path, f"another order: {', '.join(kept_new)}", kept_old, kept_new)


def _compare_sets(path: Path, before: list[str], after: list[str]) -> Change:
    gained = [name for name in after if name not in before]
    lost = [name for name in before if name not in after]
    parts = [
        *([f"gained {', '.join(gained)}"] if gained else []),
        *([f"lost {', '.join(lost)}"] if lost else []),
    ]
    return _change(path, "; ".join(parts), before, after)


def _compare_values(path: Path, before: Any, after: Any) -> Change:
    if isinstance(before, str) and isinstance(after, str) and "\n" in before + after:
        lines = tuple(_unified(before.splitlines(), after.splitlines()))
        return _change(path, "is another text", before, after, lines)
    key = path[-1]
    return _change(path, f"{value_text(key, before)} → {value_text(key, after)}", before, after)


def _unified(before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    diff_lines = difflib.unified_diff(before, after, lineterm="", n=1)
    return (line for line in diff_lines if not line.startswith(("---", "+++", "@@")))


def _change(path: Path, words: str, before: Any, after: Any, lines: tuple[str, ...] = ()) -> Change:
    return Change(
        path=".".join(path),
        words=f"{noun(path)}: {words}",
        effect=direction(path, before, after),
        before=before,
        after=after,
        lines=lines,
    )
