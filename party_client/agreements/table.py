"""One table of a TOML file, read strictly: known keys only, each of its type, errors that name the place.

A key that is not known is refused, because a misspelt `threshold` that is ignored would be a threshold that
is not there. Raises `AgreementTextError` and `UnknownKeyError`.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any, Final, TypeVar

from party_client.agreements.errors import AgreementTextError, UnknownKeyError
from protos.formats.errors import FormatError

_Value = TypeVar("_Value")
_NAMES: Final = {
    bool: "true or false",
    int: "a whole number",
    str: "text in quotes",
    list: "a list",
    dict: "a table",
    float: "a number with a decimal point",
}


class Table:
    """A table and where it stands; every reader takes the key's name and, if it may be missing, a default."""

    def __init__(
        self, values: object, place: str, *, required: Collection[str], optional: Collection[str] = ()
    ):
        """`place` begins every error: "flights.toml: [[datasets]] flights"."""
        self.place: Final = place
        if not isinstance(values, dict):
            raise AgreementTextError(f"{place}: got {_kind(values)}, expected a table")
        self._values: Final[dict[str, Any]] = values
        _refuse_unknown(values, (*required, *optional), place)
        for key in required:
            if key not in values:
                raise AgreementTextError(f"{place}: `{key}` is missing")

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def text(self, key: str, default: str = "") -> str:
        """A text."""
        return self._read(key, str, default)

    def integer(self, key: str, default: int = 0) -> int:
        """A whole number."""
        return self._read(key, int, default)

    def bound(self, key: str) -> int | str:
        """A whole number, a date, or a decimal in quotes; dates become text."""
        value = self._values[key]
        if type(value) is date:
            return value.isoformat()
        if type(value) is str:
            return value
        if type(value) is float:
            raise AgreementTextError(
                f"{self.place}: `{key}` is {_kind(value)}, which is not exact",
                hint=f'write the decimal in quotes: {key} = "{value}"',
            )
        return self._read(key, int, 0)

    def flag(self, key: str, default: bool = False) -> bool:
        """True or false."""
        return self._read(key, bool, default)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; empty when the key is missing."""
        items = self._read(key, list, [])
        for item in items:
            if not isinstance(item, str):
                raise AgreementTextError(
                    f"{self.place}: `{key}` has {_kind(item)} in it, expected texts only"
                )
        return tuple(items)

    def text_set(self, key: str) -> tuple[str, ...]:
        """A list of texts whose order means nothing, in ascending order; a repeated one is refused."""
        items = self.texts(key)
        if len(set(items)) != len(items):
            raise AgreementTextError(f"{self.place}: `{key}` names something twice")
        return tuple(sorted(items))

    def lists(self, key: str) -> list[list[object]]:
        """A list of lists; empty when the key is missing."""
        items: list[object] = self._read(key, list, [])
        for item in items:
            if not isinstance(item, list):
                raise AgreementTextError(f"{self.place}: `{key}` has {_kind(item)} in it, expected lists")
        return [list(item) for item in items if isinstance(item, list)]

    def seconds(self, key: str) -> int:
        """A time with its zone, in whole seconds since 1970."""
        value = self._values[key]
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise AgreementTextError(
                f"{self.place}: `{key}` must be a time with a zone",
                hint=f"write {key} = 2026-01-01T00:00:00Z",
            )
        seconds = (value - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
        if seconds < 0 or seconds != int(seconds):
            raise AgreementTextError(f"{self.place}: `{key}` must be a whole second after 1970")
        return int(seconds)

    def items(self, key: str) -> list[tuple[str, object]]:
        """(name, value) of each entry of a sub-table, in the order of the file."""
        return list(self._read(key, dict, {}).items())

    def tables(self, key: str) -> Iterator[tuple[str, object]]:
        """(place, value) of each `[[key]]`, in the order of the file; its place shows its id or number."""
        for number, value in enumerate(self._read(key, list, []), 1):
            names = [value.get(name) for name in ("id", "name")] if isinstance(value, dict) else []
            shown = next((name for name in names if isinstance(name, str)), f"number {number}")
            yield f"{self.place}: [[{key}]] {shown[:64]}", value

    def _read(self, key: str, kind: type[_Value], default: _Value) -> _Value:
        value: _Value = self._values.get(key, default)
        if type(value) is not kind:  # isinstance would take true for a number
            raise AgreementTextError(f"{self.place}: `{key}` is {_kind(value)}, expected {_NAMES[kind]}")
        return value


@contextmanager
def located(place: str, subject: str = "") -> Iterator[None]:
    """Errors of the formats leave as errors about `place`; a `subject` that they repeat is dropped."""
    try:
        yield
    except FormatError as error:
        message = error.message.removeprefix(f"{subject}: ")
        raise AgreementTextError(f"{place}: {message}", hint=error.hint) from error


def _refuse_unknown(values: Mapping[str, object], known: Collection[str], place: str) -> None:
    for key in values:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
            suggestion = f", did you mean `{close[0]}`?" if close else ""
            raise UnknownKeyError(
                f"{place}: unknown key `{key[:64]}`{suggestion}",
                hint=f"known here: {', '.join(known)}",
            )


def _kind(value: object) -> str:
    if isinstance(value, datetime):
        return "a time"
    return _NAMES.get(type(value), f"a {type(value).__name__}")
