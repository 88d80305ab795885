"""What pyproject.toml promises to be there can be loaded: the command and each of its groups."""

from __future__ import annotations

import importlib
import tomllib

import click
import pytest

from tests.meta.repository import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def load(reference: str) -> object:
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize("name", PROJECT["entry-points"]["concordat.commands"])
def test_command_group_can_be_loaded(name: str) -> None:
    assert isinstance(load(PROJECT["entry-points"]["concordat.commands"][name]), click.Command)


def test_the_command_can_be_loaded() -> None:
    assert callable(load(PROJECT["scripts"]["concordat"]))
