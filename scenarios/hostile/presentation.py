"""How the treacheries look to people as they happen, and to programs afterwards.

A treachery is what the coordinator did, who refused it, and the very sentence that the person at the client
sees. Text goes through rich without markup: some of it was chosen by the coordinator.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich.console import Console, Group
from rich.padding import Padding
from rich.text import Text

from party_client.cli.present import printable
from scenarios.hostile.mischief import Refuser
from scenarios.hostile.play import Attempt

NAME: Final = "hostile-coordinator"
QUESTION: Final = "What can a coordinator do that cheats, one treachery at a time?"
_NOTICE: Final = "The enclaves run on this computer, and whoever owns it can look inside."
_RELEASED: Final = "the released table is exactly the one computed in clear"
_INDENT: Final = 4


def tell(attempts: Iterable[Attempt], out: Console) -> list[Attempt]:
    """Shows each attempt as it comes; all of them."""
    out.print(Text.assemble((NAME, "bold"), f"  {QUESTION}"))
    out.print(Text.assemble(("SIMULATED  ", "bold yellow"), _NOTICE, "\n"))
    made: list[Attempt] = []
    waiting = out.status(Text("machines boot, and the first job runs honestly", style="dim"))
    waiting.start()
    try:
        for attempt in attempts:
            waiting.update(Text("the coordinator cheats", style="dim"))
            if not made or _heading(attempt) != _heading(made[-1]):
                out.print(Text(f"{_heading(attempt)}\n", style="bold"))
            out.print(_shown(attempt))
            out.print()
            made.append(attempt)
    finally:
        waiting.stop()
    out.print(_summary(made))
    return made


def facts(attempts: Sequence[Attempt]) -> dict[str, Any]:
    """Everything that happened, for JSON."""
    return {
        "scenario": NAME,
        "simulated": True,
        "held": all(attempt.as_expected for attempt in attempts),
        "attempts": [
            {
                "name": attempt.mischief.name,
                "deed": attempt.mischief.deed,
                "attacks": list(attempt.mischief.attacks),
                "while": None if attempt.mischief.is_honest else attempt.mischief.step,
                "refused_by": attempt.refuser,
                "code": attempt.code or None,
                "sentence": attempt.error.message if attempt.error else None,
                "hint": attempt.error.hint if attempt.error else None,
                "as_expected": attempt.as_expected,
            }
            for attempt in attempts
        ],
    }


def _shown(attempt: Attempt) -> Group:
    style = "green" if attempt.as_expected else "bold red"
    refused = Text.assemble("refused by ", (_refuser(attempt), style))
    answer = _sentence(attempt) if attempt.error is None else Text("\n").join([refused, _sentence(attempt)])
    return Group(_deed(attempt), Padding(answer, (0, 0, 0, _INDENT)))


def _heading(attempt: Attempt) -> str:
    return "Nobody is cheated" if attempt.mischief.is_honest else f"While the {attempt.mischief.step}"


def _refuser(attempt: Attempt) -> str:
    return "the enclave" if attempt.refuser is Refuser.ENCLAVE else f"the {attempt.mischief.victim}'s client"


def _deed(attempt: Attempt) -> Text:
    rows = ", ".join(map(str, attempt.mischief.attacks))
    return Text.assemble(attempt.mischief.deed, (f"  (row {rows})" if rows else "", "dim"))


def _sentence(attempt: Attempt) -> Text:
    if attempt.error is None:
        return Text(_RELEASED) if attempt.mischief.is_honest else Text("it went through", style="bold red")
    parts: list[str | tuple[str, str]] = [("error: ", "red"), printable(attempt.error.message)]
    if attempt.error.hint:
        parts += ["\n", ("hint: ", "cyan"), printable(attempt.error.hint)]
    if not attempt.as_expected:
        wanted = f"{attempt.mischief.code} by the {attempt.mischief.refuser}"
        parts += [
            "\n",
            (f"refused otherwise than expected: got {attempt.code}, expected {wanted}", "bold red"),
        ]
    return Text.assemble(*parts)


def _summary(attempts: Sequence[Attempt]) -> Text:
    treacheries = [attempt for attempt in attempts if not attempt.mischief.is_honest]
    refused = sum(attempt.as_expected for attempt in treacheries)
    honest_too = all(attempt.as_expected for attempt in attempts if attempt.mischief.is_honest)
    style = "bold green" if refused == len(treacheries) and honest_too else "bold red"
    did = "released exactly the agreed table" if honest_too else "did not come to their end"
    return Text.assemble(
        (f"{refused} of {len(treacheries)} treacheries were refused by whom and as they should be. ", style),
        f"The honest runs before and after them {did}.",
    )
