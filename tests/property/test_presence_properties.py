"""For any data: what the coordinator sees of a run does not move with one unit, but where something crosses.

The coordinator sees a code, the size of what is sealed and, in the claims, how much each rule held back. One
unit more can move them in these ways and no other: a row or a value reaches its threshold, or the number of
groups or values that were held back passes from one bucket to the next (of groups 10, 100, …; of values from
0 on). `docs/threat-model.md`, row 24.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from enclave_compute.disclosure import Released, release
from enclave_compute.engine import Engine
from protos.formats.result import pad
from protos.formats.schema import Dataset
from tests import engine_world as world
from tests.engine_world import column

THRESHOLD = 3
VISITS = Dataset(
    "visits",
    "shop",
    (
        column("person", "int64", "count_distinct"),
        column("place", "int64", "group"),
        column("spent", "int64", "sum", "count", nullable=True),
    ),
    "person",
    THRESHOLD,
    (),
    10_000,
    10_000_000,
)
SQL = "SELECT place, COUNT(*) AS n, SUM(spent) AS s FROM visits GROUP BY place"
ROW_BYTES = 3 * 8
"""Of one more row in the result: three columns of 64 bits, and up to three bits of validity."""
ALIGNED_BYTES = 64
"""Arrow pads each of its buffers: a row may bring as much for each of six, and a first NULL a bitmap."""
SOMEBODY = 999
SPENT = st.none() | st.just(2**62) | st.integers(-9, 9)
PLACES = st.integers(0, 13)
CROWD = st.lists(st.tuples(st.integers(0, 8), PLACES, SPENT), max_size=60)
MANY_PLACES = st.sampled_from([0, 100, 165, 170, 400])
"""So many places with a crowd of their own: results of several sizes."""
OWN = st.lists(st.tuples(st.just(SOMEBODY), PLACES, SPENT), min_size=1, max_size=6)
ENGINE = Engine(128, 1)


def released(rows: list[Any]) -> Released:
    world.load(ENGINE, VISITS, world.table(VISITS, rows))
    try:
        return release(ENGINE, world.plan_of(SQL, datasets=(VISITS,)), {})
    finally:
        ENGINE.drop("visits")


def crossing(rows: list[Any]) -> tuple[set[int], set[int], set[int]]:
    """Places that leave, of these the ones with a sum, and places that are held back."""
    people: dict[int, set[int]] = defaultdict(set)
    spenders: dict[int, set[int]] = defaultdict(set)
    for person, place, spent in rows:
        people[place].add(person)
        spenders[place] |= {person} if spent is not None else set()
    leave = {place for place, found in people.items() if len(found) >= THRESHOLD}
    return leave, {place for place in leave if len(spenders[place]) >= THRESHOLD}, set(people) - leave


def bucket(count: int) -> int:
    return next(size for size in (0, 10, 100, 1_000) if count <= size)


def reported(groups: int) -> int:
    """Of groups that are held back: none are reported as some are."""
    return bucket(max(THRESHOLD, groups))


@settings(max_examples=60)
@given(CROWD, MANY_PLACES, OWN)
def test_attack_24_sizes_and_reports_move_only_where_something_crosses(
    crowd: list[Any], many: int, own: list[Any]
) -> None:
    crowd = crowd + [(person, 100 + place, 1) for place in range(many) for person in range(THRESHOLD)]
    without, present = released(crowd), released(crowd + own)
    leave, valued, held = crossing(crowd)
    leave_now, valued_now, held_now = crossing(crowd + own)

    held_back = [[item.groups_at_most for item in found.suppressed] for found in (without, present)]
    assert held_back[0] == [reported(len(held)), bucket(len(leave - valued))]
    assert held_back[1] == [reported(len(held_now)), bucket(len(leave_now - valued_now))]

    assert (without.rows, present.rows) == (len(leave), len(leave_now))
    sizes = [len(found.table_ipc) for found in (without, present)]
    if (leave, valued) == (leave_now, valued_now) and has_null(crowd) == has_null(crowd + own):
        event("the same rows and values leave")
        assert sizes[0] == sizes[1]
        assert len(pad(without.table_ipc)) == len(pad(present.table_ipc))
    else:
        event("a row or a value crosses")
        more = len(leave_now - leave) * ROW_BYTES + 9 * ALIGNED_BYTES
        assert abs(sizes[1] - sizes[0]) <= more


def has_null(rows: list[Any]) -> bool:
    """Whether some place that leaves has no sum: held back, or too large for int64."""
    leave, valued, _ = crossing(rows)
    totals: dict[int, int] = defaultdict(int)
    for _, place, spent in rows:
        totals[place] += spent or 0
    return leave != valued or any(abs(totals[place]) >= 2**63 for place in leave)


@settings(max_examples=30)
@given(st.integers(0, 12), st.booleans())
def test_attack_24_what_is_held_back_moves_from_bucket_to_bucket(alone: int, is_there: bool) -> None:
    """Not to be avoided: one group more, of somebody alone, makes ten eleven, and 10 becomes 100."""
    rows = [(person, person, 1) for person in range(alone)]
    found = released(rows + [(SOMEBODY, 500, 1)] * is_there)
    assert found.rows == 0
    assert found.suppressed[0].groups_at_most == (100 if alone + is_there > 10 else 10)
    assert len(pad(found.table_ipc)) == 4096
