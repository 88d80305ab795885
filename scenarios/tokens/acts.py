"""What everybody does in the scenario tokens: no dataset is sent and no query runs, a key is used and kept.

The acts before the enclave is bound and after it ends are those of every scenario.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from party_client.cli.present import counted
from scenarios.acts import Act, Acts, Note
from scenarios.catalogue import Scenario
from scenarios.comparison import require_same
from scenarios.errors import CommandError, ScenarioError
from scenarios.tokens import data, expected

KEY: Final = "person_tokens"
TOKENS_FILE: Final = "tokens.parquet"
GUESSES_FILE: Final = "guesses.csv"
BROKER: Final = "broker"


@dataclass(frozen=True)
class _TokenScenario(Scenario):
    """A scenario without datasets: who has which file stands here and not in the agreement."""

    @property
    def owners(self) -> dict[str, str]:
        """File's id to who has it."""
        return {"customers": "shop", "members": "insurer"}

    @property
    def is_noisy(self) -> bool:
        """No query, no noise."""
        return False


TOKENS: Final = _TokenScenario(
    name="tokens",
    question="Which customers of a shop are members of an insurer, for a broker who knows neither?",
    people={"shop": "Shop", "insurer": "Insurer", BROKER: "Broker"},
    files={"customers": "customers.csv", "members": "members.parquet"},
    rows=40_000,
    tables=data.tables,
    answer=expected.answer,
)


class TokenActs(Acts):
    """One run of the scenario tokens."""

    def in_order(self) -> list[tuple[str, Act]]:
        """Titles and acts."""
        return [
            ("Everybody makes keys and puts the public half on the table", self.make_identities),
            ("Shop and insurer have their lists, each at home", self.write_data),
            ("The code of the enclave is measured", self.measure),
            ("The agreement is compiled; each party reads it and signs", self.sign),
            ("A coordinator starts, whom nobody trusts", self.start_coordinator),
            ("An enclave starts, is bound to this agreement, and makes the key", self.start_job),
            ("Shop and insurer have tokens made, under a key that neither has", self.make_tokens),
            ("The broker wants tokens of people it knows", self.refuse_the_broker),
            ("The insurer wants tokens of everybody there is", self.refuse_guesses),
            ("Enclave and coordinator end, and with them the key", self.close),
            ("The broker joins the tokens; the same is counted in clear and compared", self.join),
        ]

    def make_tokens(self) -> Iterator[Note]:
        """Both at once, each verifying the enclave for itself before any address is sealed to it."""
        making = {
            who: self.stage[who].begin(*self._tokenise(who, self.files[name], column, TOKENS_FILE, keep))
            for who, name, column, keep in (
                ("shop", "customers", "email", "segment"),
                ("insurer", "members", "mail", "product"),
            )
        }
        for who, command in making.items():
            made = command.answer()
            addresses = counted(made["identifiers"], "different address").replace("addresss", "addresses")
            yield Note(who, f"verified the enclave and had tokens made of {addresses}")

    def refuse_the_broker(self) -> Iterator[Note]:
        """It is in the agreement, and not among those who may use the key."""
        yield Note(BROKER, f"refused: {self._refused(BROKER, 3)}")

    def refuse_guesses(self) -> Iterator[Note]:
        """As many addresses as the agreement allows in all, when some are used up already."""
        key = self.scenario.agreement["keys"][0]
        yield Note("insurer", f"refused: {self._refused('insurer', key['max_values'])}")

    def join(self) -> Iterator[Note]:
        """What the broker finds is what somebody finds who may see all addresses."""
        tokens = {who: self.stage[who].home / TOKENS_FILE for who in ("shop", "insurer")}
        self.released = expected.joined_by_token(tokens["shop"], tokens["insurer"])
        require_same(self.released, self.scenario.answer(self.files, self.scenario.parameters))
        people = int(self.released["people"].sum())
        yield Note(BROKER, f"found {people:,} people in both lists, and knows none of them")
        self._require_no_address(tokens)
        yield Note("", "exactly those that the addresses in clear have; none of them is in the token files")

    def _refused(self, who: str, guesses: int) -> str:
        """What `who` is told that wants tokens of so many guesses. Raises `ScenarioError` if it gets them."""
        file = self.stage[who].home / GUESSES_FILE
        pd.DataFrame({"email": [data.address(number) for number in range(guesses)]}).to_csv(file, index=False)
        output = f"{who}-guesses.parquet"
        try:
            self.stage[who].run(*self._tokenise(who, file, "email", output))
        except CommandError as error:
            if (self.stage[who].home / output).exists():
                raise ScenarioError(f"{who} was refused and has tokens all the same") from error
            return error.message.rpartition(": ")[2]
        raise ScenarioError(f"{who} was not refused {guesses:,} tokens")

    def _tokenise(self, who: str, file: Path, column: str, output: str, *kept: str) -> tuple[str | Path, ...]:
        return (
            *("keys", "tokenise", KEY, "-i", file, "--column", column, "-o", output),
            *(word for name in kept for word in ("--keep", name)),
            *("--job", self.job, "--agreement", self.agreement, "--identity", f"{who}.key"),
            *self.stage.trust,
            "--json",
        )

    def _require_no_address(self, tokens: Mapping[str, Path]) -> None:
        for file in tokens.values():
            if b"@" in b"".join(str(cell).encode() for cell in pd.read_parquet(file).to_numpy().ravel()):
                raise ScenarioError(f"{file.name}: an address is among the tokens")
