from __future__ import annotations

from typing import Any

import pytest

from coordinator.errand import STATE_SUBJECT, Errand, errand_untrusted, errands_untrusted
from protos.formats.errors import FormatError
from protos.formats.limits import DATASETS_MAX

GOOD = {
    "subject": "flights",
    "endpoint": "kms.eu-central-1.amazonaws.com:443",
    "role": "arn:aws:iam::111122223333:role/concordat-enclave",
    "region": "eu-central-1",
    "party": "airline",
}


def test_an_errand_is_what_the_enclave_says() -> None:
    errand = errand_untrusted(GOOD)
    assert errand == Errand(**GOOD)
    assert errand.address() == ("kms.eu-central-1.amazonaws.com", 443)
    assert errand_untrusted(GOOD | {"subject": STATE_SUBJECT}).subject == STATE_SUBJECT


@pytest.mark.parametrize(
    "changed",
    [
        {"subject": "#other"},
        {"subject": ""},
        {"subject": 1},
        {"subject": None},
        {"endpoint": "kms.example"},
        {"endpoint": ":443"},
        {"endpoint": "kms.example:"},
        {"endpoint": "kms.example:0"},
        {"endpoint": "kms.example:65536"},
        {"endpoint": "kms.example:-1"},
        {"endpoint": "kms.example:\u0664\u0664\u0663"},
        {"endpoint": "kms.example\n:443"},
        {"endpoint": f"{'a' * 260}:443"},
        {"endpoint": b"kms.example:443"},
        {"role": ""},
        {"role": "role with spaces"},
        {"role": "r\x1b[2J"},
        {"role": "a" * 2049},
        {"region": "e" * 65},
        {"party": "Not A Slug"},
        {"more": 1},
    ],
)
def test_anything_else_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        errand_untrusted(GOOD | changed)


@pytest.mark.parametrize("value", [None, 1, [], "text", {"subject": "flights"}])
def test_what_is_no_errand_is_refused(value: Any) -> None:
    with pytest.raises(FormatError):
        errand_untrusted(value)


def test_an_enclave_wants_one_key_a_subject() -> None:
    subjects = [*(f"d{number}" for number in range(DATASETS_MAX)), STATE_SUBJECT]
    listed = [GOOD | {"subject": subject} for subject in subjects]
    assert [errand.subject for errand in errands_untrusted(listed)] == subjects
    bad: Any
    for bad in ([GOOD, GOOD], [*listed, GOOD], {}, [None]):
        with pytest.raises(FormatError):
            errands_untrusted(bad)
