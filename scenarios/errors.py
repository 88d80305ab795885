"""What can go wrong when a scenario is played on one machine."""

from __future__ import annotations

from typing import ClassVar

from protos.formats.errors import ConcordatError


class ScenarioError(ConcordatError):
    """A scenario did not come to its end."""

    code: ClassVar[str] = "scenario/failed"


class CommandError(ScenarioError):
    """A command that somebody ran ended with an error."""

    code = "scenario/command-failed"


class MismatchError(ScenarioError):
    """What was released is not what the same question gives in clear."""

    code = "scenario/mismatch"
