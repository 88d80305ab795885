"""Files that are not as agreed, sent by command to a real enclave: refused in words, and nothing is lost.

Each bad file is followed by a good one into the same slot of the same job.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.premises import Premises
from tests.integration.refusals import (
    ROWS,
    SECRET,
    Shell,
    agreement,
    enlarged,
    good_rows,
    people,
    send_words,
    spawned,
    with_peak_noted,
)

SLOTS = 24
GIB = 1024**3
GOOD = good_rows()


@pytest.fixture(scope="module")
def premises(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Premises]:
    identities = people()
    folder = tmp_path_factory.mktemp("premises")
    with Premises(folder, identities, lambda release: agreement(identities, release, slots=SLOTS)) as made:
        made.start_coordinator()
        made.put_agreement()
        yield made


@pytest.fixture(scope="module")
def job(premises: Premises) -> Iterator[str]:
    with premises.client("analyst") as client:
        yield client.start_job(premises.agreement)


@pytest.fixture
def shell(premises: Premises, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(premises, monkeypatch, capsys)


def row(text: str) -> str:
    """The good file with `text` as its second row."""
    lines = GOOD.splitlines(keepends=True)
    return "".join([*lines[:2], f"{text}\n", *lines[3:]])


def many_columns() -> str:
    header, *rows = GOOD.splitlines()
    names = ",".join(f"column_{number}" for number in range(10_000))
    return "\n".join([f"{header},{names}", *(f"{line}{',' * 10_000}" for line in rows), ""])


CORRECT = "correct these rows at the source"
BAD_FILES: dict[str, tuple[bytes | str, str, str]] = {
    "a text for a number": (row(f"{SECRET},Cork,"), "row 2, id: a whole number", CORRECT),
    "a day that does not exist": (row("2,Cork,1984-02-30"), "row 2, born: a date like 2013-01-31", CORRECT),
    "a null where none may be": (row(",Cork,"), "row 2, id: .* must not be empty", CORRECT),
    "a key that stands twice": (row("1,Cork,"), "row 2, id: .* row 1 has the same", "keep one row of each"),
    "a row too short": (row(f"2,{SECRET}"), "row 2: 3 cells expected, got 2", "must be quoted"),
    "a quotation mark that is never closed": (row(f'2,"Cork {SECRET}'), "row 2", "must be quoted"),
    "a cell of 70 KB": (row(f"2,{SECRET * 10_000},"), "row 2, city: at most 65536 bytes", CORRECT),
    "a missing column": (GOOD.replace("born", "Born", 1), "missing columns 'born'", "'Born' is not 'born'"),
    "no column names": (
        GOOD.partition("\n")[2].replace("Bergen", SECRET),
        "missing columns 'id', 'city', 'born'; the first line holds none",
        "first line of a CSV file must name the columns",
    ),
    "a column too many": (
        GOOD.replace("\n", f",{SECRET}\n").replace(SECRET, "more", 1),
        "columns 'more' are not in the agreement",
        "--ignore-extra",
    ),
    "ten thousand columns": (many_columns(), r"and 9992 more .*\(10000 in all\)", "--ignore-extra"),
    "no rows": ("id,city,born\n", "no rows", "."),
    "nothing at all": (b"", r"empty \(0 bytes\)", "export the data again"),
    "UTF-16": (GOOD.encode("utf-16"), "in UTF-16, expected CSV text in UTF-8", "iconv -f UTF-16"),
    "Latin-1": (row(f"2,Zürich {SECRET},").encode("latin-1"), "row 2, city: .*Latin-1", "iconv"),
    "a spreadsheet": (b"PK\x03\x04" + bytes(100), "Excel workbook", "save the sheet as CSV"),
}


@pytest.mark.parametrize(("number", "name"), list(enumerate(BAD_FILES)), ids=list(BAD_FILES))
def test_a_bad_file_is_refused_and_a_good_one_taken_afterwards(
    number: int, name: str, shell: Shell, job: str, tmp_path: Path
) -> None:
    content, error, hint = BAD_FILES[name]
    path, slot = tmp_path / "people.csv", f"people_{number:02}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    shell.send(job, slot, path).require_refused(error, hint)
    assert shell.journals(job) == []
    path.write_text(GOOD)
    assert "accepted" in shell.send(job, slot, path).require_done()


def test_a_byte_order_mark_and_windows_line_ends_are_no_reason_to_refuse(
    shell: Shell, job: str, tmp_path: Path
) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(GOOD.replace("\n", "\r\n").encode("utf-8-sig"))
    assert f"{ROWS} rows" in shell.send(job, "people_20", path).require_done()


def test_a_file_that_grows_while_it_is_sent_is_refused(shell: Shell, job: str, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text(good_rows(300_000))
    sent = threading.Event()

    def grow() -> None:
        with path.open("a") as file:
            for number in itertools.count(300_001):
                file.write(f"{number},Cork,1984-02-01\n")
                file.flush()
                if sent.wait(0.01):
                    return

    writer = threading.Thread(target=grow)
    writer.start()
    said = shell.send(job, "people_21", path)
    sent.set()
    writer.join()
    said.require_refused("the file was (changed|written to) or replaced", "wait until|starts a new upload")
    assert shell.journals(job) == []
    assert "accepted" in shell.send(job, "people_21", path).require_done()


def test_a_cell_of_a_gibibyte_costs_neither_memory_nor_time(
    premises: Premises, shell: Shell, job: str, tmp_path: Path
) -> None:
    path = tmp_path / "people.csv"
    path.write_text(good_rows(5_000) + f"5001,{SECRET}")
    before_s = time.monotonic()
    words = send_words(premises, job, "people_22", enlarged(path, GIB))
    said = spawned(premises, "owner", *words, through=with_peak_noted(tmp_path / "peak"))
    said.require_refused("row 5001: .* a row of more than 4 MiB", "must be quoted")
    assert time.monotonic() - before_s < 60
    assert int((tmp_path / "peak").read_text()) * 1024 < GIB // 2
    path.write_text(GOOD)
    assert "accepted" in shell.send(job, "people_22", path).require_done()
