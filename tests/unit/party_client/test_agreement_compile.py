"""From TOML to an agreement: one text, one digest; and every mistake named with file, table and key."""

from __future__ import annotations

import codecs
import textwrap
from pathlib import Path

import pytest

from party_client import agreements
from party_client.agreements import compile_toml
from party_client.agreements.errors import (
    AgreementError,
    AgreementFileError,
    AgreementSyntaxError,
    AgreementTextError,
    UnknownKeyError,
)
from party_client.attestation.errors import EmulatorMixedError
from party_client.files import FileAccessError
from party_client.identity_file import IdentityFileError
from protos.formats.agreement import Agreement
from protos.release.roots import UNSIGNED_EMULATOR_SHA256, is_unsigned_emulator
from tests.unit.party_client.written_agreement import (
    AIRLINE,
    ANALYST,
    ROOT_SHA256,
    TEXT,
    WEATHER,
    write,
)


def test_everything_written_is_in_the_agreement(tmp_path: Path) -> None:
    agreement = compile_toml(write(tmp_path))
    assert agreement.parties == (AIRLINE.public.participant(), WEATHER.public.participant())
    assert agreement.analysts == (ANALYST.public.participant(),)
    assert (agreement.valid_from_s, agreement.valid_until_s) == (1_767_225_600, 1_798_761_600)
    flights = agreement.dataset("flights")
    assert [column.name for column in flights.columns] == ["tailnum", "hour", "year", "delay", "crew"]
    assert flights.column("crew").uses == frozenset()
    assert flights.column("delay").nullable
    assert not flights.column("year").nullable
    assert flights.unique == ()
    assert agreement.dataset("weather").unique == ("hour",)
    query = agreement.query("delay_by_wind")
    assert query.sql.startswith("SELECT w.wind")
    assert (query.parameters[0].low, query.parameters[0].high) == (1950, 2013)
    assert not query.many_to_many
    assert agreement.limits.max_runs == 10
    assert agreement.logged == "nothing"
    assert agreement.releases[0].pcr1 == b"\x11" * 48
    assert Agreement.decode_untrusted(agreement.encode()) == agreement


def test_digest_does_not_depend_on_the_editor(tmp_path: Path) -> None:
    path = write(tmp_path)
    digest = compile_toml(path).digest()
    text = TEXT.replace("\n", "\r\n").encode()
    for data in (text, codecs.BOM_UTF8 + text, TEXT.encode() + b"\n# a remark\n"):
        path.write_bytes(data)
        assert compile_toml(path).digest() == digest


def test_order_inside_a_set_means_nothing(tmp_path: Path) -> None:
    one = write(tmp_path, {'receivers = ["analyst"]': 'receivers = ["analyst", "airline"]'}, name="a.toml")
    two = write(tmp_path, {'receivers = ["analyst"]': 'receivers = ["airline", "analyst"]'}, name="b.toml")
    assert compile_toml(one).digest() == compile_toml(two).digest()


def test_releases_of_a_file_are_those_of_the_agreement(tmp_path: Path) -> None:
    inline = write(tmp_path)
    head, _, release = TEXT.partition("[[releases]]")
    (tmp_path / "release.toml").write_text("# SIMULATED\n[[releases]]" + release)
    beside = tmp_path / "beside.toml"
    beside.write_text(head + '[[releases]]\nfile = "release.toml"\n')
    assert compile_toml(beside).digest() == compile_toml(inline).digest()


def test_choices_and_optional_keys(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {
            "low = 1950\nhigh = 2013": 'choices = ["b", "a"]',
            "max_runs = 5\n": "max_runs = 5\nmany_to_many = true\n",
            "[limits]": 'logged = "phases"\n[limits]',
            'crew = { type = "text" }': 'crew = { type = "text", normalise = "email/v1" }',
        },
    )
    agreement = compile_toml(path)
    assert agreement.queries[0].parameters[0].choices == ("a", "b")
    assert agreement.queries[0].many_to_many
    assert agreement.logged == "phases"
    assert agreement.dataset("flights").column("crew").normalise == "email/v1"


# (what stands there, what stands there instead, what the error must say)
MISTAKES = [
    (
        "threshold = 10",
        "treshold = 10",
        "[[datasets]] flights: unknown key `treshold`, did you mean `threshold`?",
    ),
    ("max_runs = 10", "max_runs = 10\nruns = 3", "[limits]: unknown key `runs`"),
    ("nullable = true", "nulable = true", "[[datasets]] flights, column delay: unknown key `nulable`"),
    (
        "low = 1950",
        "lowest = 1950",
        "[[queries]] delay_by_wind: [[parameters]] min_year: unknown key `lowest`",
    ),
    ('title = "Delays by wind"', "", "flights.toml: `title` is missing"),
    (
        "threshold = 10",
        "threshold = 10.5",
        "`threshold` is a number with a decimal point, expected a whole number",
    ),
    ("threshold = 10", "threshold = true", "`threshold` is true or false, expected a whole number"),
    ("threshold = 10", 'threshold = "10"', "`threshold` is text in quotes, expected a whole number"),
    ("threshold = 10", "threshold = 0", "[[datasets]] flights: threshold: got 0"),
    ("nullable = true", "nullable = 1", "column delay: `nullable` is a whole number, expected true or false"),
    ('uses = ["avg"]', 'uses = "avg"', "column delay: `uses` is text in quotes, expected a list"),
    ('uses = ["avg"]', "uses = [1]", "column delay: `uses` has a whole number in it"),
    ('uses = ["avg"]', 'uses = ["average"]', "column delay: got uses ['average']"),
    ('uses = ["avg"]', 'uses = ["avg", "avg"]', "column delay: `uses` names something twice"),
    ('"int64", nullable', '"float64", nullable', "column delay: sum and avg need int64 or decimal"),
    (
        "valid_from = 2026-01-01T00:00:00Z",
        "valid_from = 2026-01-01T00:00:00",
        "`valid_from` must be a time with a zone",
    ),
    (
        "valid_from = 2026-01-01T00:00:00Z",
        "valid_from = 2026-01-01",
        "`valid_from` must be a time with a zone",
    ),
    (
        "valid_from = 2026-01-01T00:00:00Z",
        "valid_from = 2026-01-01T00:00:00.5Z",
        "`valid_from` must be a whole second",
    ),
    (
        "valid_from = 2026-01-01T00:00:00Z",
        "valid_from = 1969-01-01T00:00:00Z",
        "`valid_from` must be a whole second",
    ),
    ("valid_from = 2026", "valid_from = 2028", "the agreement ends before it begins"),
    ('owner = "airline"', 'owner = "arline"', "owner 'arline' is not a party"),
    ('privacy_unit = "tailnum"', 'privacy_unit = "tail"', "[[datasets]] flights: privacy unit 'tail'"),
    ('receivers = ["analyst"]', "receivers = []", "[[queries]] delay_by_wind: run_by and receivers"),
    ('receivers = ["analyst"]', 'receivers = ["anna"]', "query delay_by_wind: names ['anna']"),
    ("low = 1950\n", "", "[[parameters]] min_year: give either low and high"),
    ("high = 2013", "high = 99999999999999999999", "[[parameters]] min_year: high: got 99999999999999999999"),
    ("11" * 48, "11" * 47, "[[releases]] test: pcr1: got"),
    ("11" * 48, "00" * 48, "[[releases]] test: pcr1 is all zero"),
    ("ab" * 32, "AB" * 32, "[[releases]] test: root_sha256: got"),
    ('id = "weather"', 'id = "flights"', "dataset id 'flights' stands twice"),
    ('id = "weather"', 'id = "Weather"', "[[datasets]] Weather: dataset id: got 'Weather'"),
    ('id = "weather"', "id = 7", "[[datasets]] number 2: `id` is a whole number"),
    ('keys/analyst.pub"', 'keys/airline.pub"', "participant id 'airline' stands twice"),
    ("WHERE f.year", "\tWHERE f.year", "[[queries]] delay_by_wind: `sql` has a tab in it"),
    ("[[analysts]]", "[analysts]", "`analysts` is a table, expected a list"),
    ("[limits]", "[limit]", "unknown key `limit`, did you mean `limits`?"),
]


@pytest.mark.parametrize(("old", "new", "complaint"), MISTAKES, ids=[mistake[2] for mistake in MISTAKES])
def test_mistake_is_named_with_its_place(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    with pytest.raises(AgreementTextError) as caught:
        compile_toml(write(tmp_path, {old: new}))
    assert complaint in caught.value.message
    assert caught.value.message.startswith("flights.toml: ")


def test_unknown_key_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownKeyError) as caught:
        compile_toml(write(tmp_path, {"threshold = 10": "zzz = 10"}))
    assert "did you mean" not in caught.value.message
    assert "threshold" in (caught.value.hint or "")


def test_mistake_in_a_release_file_names_that_file(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text(TEXT.partition("[[releases]]")[0] + '[[releases]]\nfile = "release.toml"\n')
    with pytest.raises(FileAccessError, match=r"release\.toml: there is no such file"):
        compile_toml(path)
    (tmp_path / "release.toml").write_text('[[releases]]\nname = "x"\n')
    with pytest.raises(AgreementTextError, match=r"release\.toml: \[\[releases\]\] x: `pcr0` is missing"):
        compile_toml(path)
    (tmp_path / "release.toml").write_text("")
    with pytest.raises(AgreementTextError, match=r"release\.toml: `releases` is missing"):
        compile_toml(path)


def test_identity_that_is_missing_or_private_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(FileAccessError, match=r"keys/nobody\.pub"):
        compile_toml(write(tmp_path, {"keys/analyst.pub": "keys/nobody.pub"}))
    ANALYST.save(tmp_path / "keys/analyst.key")
    with pytest.raises(IdentityFileError, match="private key"):
        compile_toml(write(tmp_path, {"keys/analyst.pub": "keys/analyst.key"}))


@pytest.mark.parametrize(
    ("data", "complaint", "hint"),
    [
        (b'id = "a"\ntitle "b"\n', "line 2, column 7: Expected '='", 'that line is: title "b"'),
        (b'id = "a"\n\n[limits\n', "line 3, column 8", "that line is: [limits"),
        (b'id = """a', "at its end: ", "never closed"),
        (b"a = 1\na = 2\n", "line 2, column 6: Cannot overwrite a value", "a = 2"),
        (b"a = 2026-13-45T00:00:00Z\n", "line 1, column ", "a = 2026-13"),
        (b"a = " + b"[" * 5_000, "nested too deeply", None),
        (b"a = " + b"1" * 5_000, "a value that cannot be read", None),
    ],
)
def test_what_is_not_toml_is_shown_by_line(
    tmp_path: Path, data: bytes, complaint: str, hint: str | None
) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(data)
    with pytest.raises(AgreementSyntaxError) as caught:
        compile_toml(path)
    assert complaint in caught.value.message
    assert str(path) in caught.value.message
    assert hint is None or hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (TEXT.encode("utf-16"), "UTF-16"),
        (TEXT.encode("utf-32"), "UTF-32"),
        ("id = 'a'\ntitle = 'Zürich'\n".encode("latin-1"), "line 2: byte 0xfc is not UTF-8"),
    ],
)
def test_other_encodings_are_named(tmp_path: Path, data: bytes, complaint: str) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(data)
    with pytest.raises(AgreementFileError, match=complaint) as caught:
        compile_toml(path)
    assert "UTF-8" in (caught.value.hint or "")


def test_file_that_is_too_large_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "large.toml").write_bytes(b"#" * (2**20 + 1))
    for name in ("large.toml", "missing.toml"):
        with pytest.raises(FileAccessError, match=name):
            compile_toml(tmp_path / name)


def test_agreement_over_the_size_limit_is_refused(tmp_path: Path) -> None:
    columns = "\n".join(f'c{number:060} = {{ type = "text" }}' for number in range(2_000))
    datasets = "".join(
        f'[[datasets]]\nid = "d{number}"\nowner = "airline"\nprivacy_unit = "c{0:060}"\nthreshold = 2\n'
        f"max_rows = 1\nmax_bytes = 1\n[datasets.columns]\n{columns}\n"
        for number in range(5)
    )
    path = write(tmp_path, {"[[queries]]\n": f"{datasets}[[queries]]\n"})
    with pytest.raises(AgreementError, match="expected at most 1048576"):
        compile_toml(path)


def test_example_in_the_packages_docstring_compiles(tmp_path: Path) -> None:
    write(tmp_path)  # for the identities
    example = textwrap.dedent((agreements.__doc__ or "").partition("As people write it:\n")[2])
    (tmp_path / "release.toml").write_text("[[releases]]" + TEXT.partition("[[releases]]")[2])
    (tmp_path / "example.toml").write_text(example)
    agreement = compile_toml(tmp_path / "example.toml")
    assert agreement.dataset("flights").column("email").normalise == "email/v1"
    assert agreement.queries[0].parameters[0].name == "min_year"


def test_releases_of_the_unsigned_emulator_stand_alone(tmp_path: Path) -> None:
    release = "[[releases]]" + TEXT.partition("[[releases]]")[2]
    unsigned = release.replace(ROOT_SHA256, UNSIGNED_EMULATOR_SHA256.hex()).replace('"test"', '"emulated"')
    write(tmp_path, {release: unsigned})
    assert is_unsigned_emulator(compile_toml(tmp_path / "flights.toml").releases[0])
    for both in (release + unsigned, unsigned + release):
        write(tmp_path, {release: both})
        with pytest.raises(
            EmulatorMixedError, match="'emulated' is of the UNSIGNED EMULATOR, release 'test'"
        ):
            compile_toml(tmp_path / "flights.toml")


def test_bounds_of_a_parameter_may_be_dates_and_decimals(tmp_path: Path) -> None:
    query = {"f.year >= $min_year": "f.hour >= $min_year"}
    dates = write(tmp_path, {**query, "low = 1950": "low = 2026-01-31", "high = 2013": 'high = "2026-02-01"'})
    (parameter,) = compile_toml(dates).queries[0].parameters
    assert (parameter.low, parameter.high, parameter.kind) == ("2026-01-31", "2026-02-01", "date")
    decimals = write(tmp_path, {"low = 1950": 'low = "0.05"', "high = 2013": 'high = "12.50"'})
    assert compile_toml(decimals).queries[0].parameters[0].kind == "decimal(4,2)"
    inexact = write(tmp_path, {"low = 1950": "low = 0.05", "high = 2013": "high = 1.5"})
    with pytest.raises(AgreementTextError, match="`low` is a number with a decimal point") as caught:
        compile_toml(inexact)
    assert caught.value.hint == 'write the decimal in quotes: low = "0.05"'
