"""Files that are not as agreed, sent by command to a real enclave: refused in words, and nothing is lost.

Each bad file is followed by a good one into the same slot of the same job.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.premises import Premises
from tests.integration.refusals import SECRET, Shell, agreement, good_rows, people

GOOD = good_rows()


@pytest.fixture(scope="module")
def premises(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Premises]:
    identities = people()
    folder = tmp_path_factory.mktemp("premises")
    with Premises(folder, identities, lambda release: agreement(identities, release)) as made:
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
    names = ",".join(f"column_{number}" for number in range(10_000))
    return "\n".join(f"{line},{',' * 9_999}" for line in GOOD.splitlines()).replace(f",{',' * 9_999}", f",{names}", 1)


BAD_FILES: dict[str, tuple[bytes | str, str, str]] = {
    "a text for a number": (row(f"{SECRET},Cork,"), r".", r"."),
    "a time for a date": (row("2,Cork,1984-02-30"), r".", r"."),
    "a null where none may be": (row(",Cork,"), r".", r"."),
    "a key that stands twice": (row("1,Cork,"), r".", r"."),
    "a row too short": (row(f"2,{SECRET}"), r".", r"."),
    "a missing column": (GOOD.replace("born", "Born", 1), r".", r"."),
    "no column names": (GOOD.partition("\n")[2].replace("Cork", SECRET), r".", r"."),
    "a column too many": (GOOD.replace("\n", f",{SECRET}\n").replace(SECRET, "more", 1), r".", r"."),
    "ten thousand columns": (many_columns(), r".", r"."),
    "no rows": (GOOD.splitlines()[0], r".", r"."),
    "nothing at all": (b"", r".", r"."),
    "UTF-16": (GOOD.encode("utf-16"), r".", r"."),
    "Latin-1": (row(f"2,Zürich {SECRET},").encode("latin-1"), r".", r"."),
    "a spreadsheet": (b"PK\x03\x04" + bytes(100), r".", r"."),
    "a quotation mark that is never closed": (row(f'2,"Cork {SECRET},'), r".", r"."),
    "a cell of 70 KB": (row(f"2,{SECRET * 10_000},"), r".", r"."),
}


@pytest.mark.parametrize(("number", "name"), list(enumerate(BAD_FILES)), ids=list(BAD_FILES))
def test_a_bad_file_is_refused_and_a_good_one_taken_afterwards(
    number: int, name: str, shell: Shell, job: str, tmp_path: Path
) -> None:
    content, error, hint = BAD_FILES[name]
    path, slot = tmp_path / "people.csv", f"people_{number:02}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    said = shell.send(job, slot, path)
    open('/tmp/h11/said.txt','a').write(f'## {name}\n{said.err}\n')
    said.require_refused(error, hint)
    assert shell.journals("owner") == []
    path.write_text(GOOD)
    assert "accepted" in shell.send(job, slot, path).require_done()
