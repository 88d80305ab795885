"""The package's public names: all of them resolve, and importing the package imports nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

import party_client


@pytest.mark.parametrize("name", party_client.__all__)
def test_public_name_resolves(name: str) -> None:
    assert getattr(party_client, name).__name__ == name


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        party_client.nothing  # noqa: B018 - the access is what is tested


def test_importing_the_package_imports_no_library() -> None:
    heavy = "{'grpc', 'pandas', 'cryptography', 'pyarrow'}"
    script = f"import sys, party_client; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
