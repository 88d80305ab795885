from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from coordinator import log


@pytest.fixture(autouse=True)
def logger_as_it_was() -> Iterator[None]:
    logger = logging.getLogger("concordat.coordinator")
    before = (logger.handlers[:], logger.level, logger.propagate)
    yield
    logger.handlers[:], logger.level, logger.propagate = before


def test_an_event_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("json")
    log.event("run-refused", job="j1", code="not-ready", bytes=log.bucketed(1000), nothing=None)
    (line,) = capsys.readouterr().err.splitlines()
    written = json.loads(line)
    assert written.pop("time").endswith("+00:00")
    assert written == {
        "level": "info",
        "event": "run-refused",
        "job": "j1",
        "code": "not-ready",
        "bytes": 1024,
    }


def test_as_text_a_field_cannot_forge_another_line(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("text")
    log.problem("job-over", detail="first\nsecond")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith('warning job-over detail="first\\nsecond"')


def test_a_long_field_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("text")
    log.event("refused", detail="x" * 10_000)
    assert len(capsys.readouterr().err) < 500


@pytest.mark.parametrize(
    ("n_bytes", "expected"), [(0, 0), (1, 1), (2, 2), (3, 4), (1024, 1024), (1025, 2048)]
)
def test_sizes_are_rounded_up_to_a_power_of_two(n_bytes: int, expected: int) -> None:
    assert log.bucketed(n_bytes) == expected
