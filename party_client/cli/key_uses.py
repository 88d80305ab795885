"""`concordat keys sign`, `encrypt`, `decrypt`, `hmac`, `tokenise`: one use of a key, or its preparation.

Where others have to approve, a use is first prepared (`--prepare`), then approved by them in a file, then
sent (`--prepared`, `--approval`). The enclave is verified before anything is sealed to it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from party_client import files
from party_client.cli.agreed import agreement_option, job_option
from party_client.cli.connection import Connection, connect, connection_options
from party_client.cli.options import identity_option
from party_client.cli.present import counted, emit, json_option, note, say, size
from party_client.cli.trust import Trust, root_warning, trust_options
from party_client.identity import Identity
from party_client.keys.approving import load_approvals
from party_client.keys.errors import KeyInputError
from party_client.keys.prepared import PreparedUse, load_prepared, require_usable, save_prepared
from protos.formats.limits import KEY_INPUT_MAX_BYTES
from protos.release.history import AgreedReleases

if TYPE_CHECKING:
    from party_client.keys.job_keys import JobKeys

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)
_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Use:
    """What the options of such a command said. Nothing has been opened but the identity and the agreement."""

    key_id: str
    job_id: str
    agreed: AgreedReleases
    identity: Identity
    output: Path | None
    prepare: Path | None
    prepared: Path | None
    approvals: tuple[Path, ...]
    connection: Connection
    trust: Trust
    as_json: bool

    @contextmanager
    def keys(self) -> Iterator[JobKeys]:
        """The keys of the job's enclave, over a connection."""
        from party_client.client import Client  # noqa: PLC0415 - gRPC and pyarrow

        with connect(self.connection, identity_id=self.identity.id) as coordinator:
            client = Client(coordinator, self.identity, roots=self.trust.anchors())
            found = client.keys(self.job_id, self.agreed)
            yield found
            if (warning := root_warning(found.enclave.attestation.root)) and not self.as_json:
                note(warning)

    def require_sound(self, use: str) -> None:
        """Raises before anything is sent: usage, files that are in the way, what is not agreed."""
        if (self.prepare is None) == (self.output is None):
            raise click.UsageError("give either --output FILE, or --prepare FILE to have it approved first")
        if self.prepare is not None and (self.prepared or self.approvals):
            raise click.UsageError("--prepare makes a new file of uses; leave --prepared and --approval out")
        if self.approvals and self.prepared is None:
            raise click.UsageError("--approval is of a use that was prepared: give --prepared as well")
        files.require_absent(*(path for path in (self.output, self.prepare) if path is not None))
        require_usable(self.agreed.agreement, self.key_id, use, self.identity.id)

    def outputs(self, use: str, contents: Sequence[bytes]) -> list[bytes] | None:
        """What comes out for each of `contents`; None when they were only prepared."""
        with self.keys() as keys:
            uses = self._prepared(use, contents, keys)
            if self.prepare is not None:
                save_prepared(self.prepare, uses)
                return None
            approvals = load_approvals(self.approvals, uses=len(uses))
            return [keys.send(one, consent) for one, consent in zip(uses, approvals, strict=True)]

    def _prepared(self, use: str, contents: Sequence[bytes], keys: JobKeys) -> list[PreparedUse]:
        if self.prepared is None:
            return [keys.prepare(self.key_id, use, content) for content in contents]
        uses = load_prepared(self.prepared, self.agreed.agreement)
        wanted = [(self.key_id, use, content) for content in contents]
        if [(one.request.key, one.request.use, one.content) for one in uses] != wanted:
            raise KeyInputError(
                f"{self.prepared}: was prepared for another key, use or input than the one given now",
                hint="give the same input as with --prepare, or prepare and approve anew",
            )
        return uses

    def tell(self, what: str, value: dict[str, Any]) -> None:
        """Says what was done."""
        if self.prepare is not None:
            what = f"prepared in {self.prepare}; hand it to whoever approves it: `concordat keys approve`"
        facts = {"key": self.key_id, "prepared": self.prepare is not None, **value}
        emit(self.as_json, facts, lambda out: say(out, what))


def _use_options(command: _Command) -> _Command:
    """Adds the argument KEY and the options of every use; gives the command `use: Use`."""

    @functools.wraps(command)
    def with_use(*args: Any, **options: Any) -> Any:
        own = {name: options.pop(name) for name in Use.__dataclass_fields__}
        return command(*args, use=Use(**own), **options)

    decorated: Any = with_use
    for option in (
        json_option,
        trust_options,
        connection_options,
        click.option(
            "--approval",
            "approvals",
            type=FILE,
            multiple=True,
            metavar="FILE",
            help="Approvals of what was prepared; once for each party.",
        ),
        click.option("--prepared", type=FILE, metavar="FILE", help="Send the uses that are in this file."),
        click.option(
            "--prepare", type=NEW_FILE, metavar="FILE", help="Send nothing; write the signed uses here."
        ),
        click.option("-o", "--output", type=NEW_FILE, help="Write what comes out to this file."),
        identity_option,
        agreement_option,
        job_option,
        click.argument("key_id", metavar="KEY"),
    ):
        decorated = option(decorated)
    return cast(_Command, decorated)


def _input_option(command: _Command) -> _Command:
    option = click.option(
        "-i", "--input", "input_file", type=FILE, required=True, help="What it is done to: at most 1,023 KiB."
    )
    return option(command)


def _carry_out(name: str, use: Use, input_file: Path) -> None:
    use.require_sound(name)
    content = files.read(input_file, max_bytes=KEY_INPUT_MAX_BYTES, private=False)
    outputs = use.outputs(name, [content])
    if outputs is None or use.output is None:
        use.tell("", {"use": name, "bytes": None})
        return
    files.create(use.output, outputs[0])
    done = f"{name} with {use.key_id}: {size(len(outputs[0]))}, in {use.output}"
    use.tell(done, {"use": name, "bytes": len(outputs[0])})


@click.command()
@_use_options
@_input_option
def sign(*, use: Use, input_file: Path) -> None:
    """Have a file signed with KEY.

    The signature is what other programs verify with the public half: Ed25519, ECDSA in DER with SHA-256
    (P-256) or SHA-384 (P-384), RSA-PSS with SHA-256 and a salt of 32 bytes.

    \b
    Example:
      concordat keys sign notary -i contract.pdf -o contract.sig \\
          --job 26fc3eef023ae66d --agreement notary.agreement \\
          --identity keys/shop.key --prepared contract.uses \\
          --approval contract.bank.approvals
    """
    _carry_out("sign", use, input_file)


@click.command()
@_use_options
@_input_option
def encrypt(*, use: Use, input_file: Path) -> None:
    """Have a file encrypted with KEY, an AES key.

    \b
    Example:
      concordat keys encrypt vault -i plan.pdf -o plan.sealed \\
          --job 26fc3eef023ae66d --agreement vault.agreement \\
          --identity keys/shop.key
    """
    _carry_out("encrypt", use, input_file)


@click.command()
@_use_options
@_input_option
def decrypt(*, use: Use, input_file: Path) -> None:
    """Have a file decrypted with KEY.

    It was encrypted by `concordat keys encrypt`, or to the public half of an RSA key (OAEP with SHA-256).
    What does not decrypt counts as a use, and nobody is told why it does not.

    \b
    Example:
      concordat keys decrypt vault -i plan.sealed -o plan.pdf \\
          --job 26fc3eef023ae66d --agreement vault.agreement \\
          --identity keys/shop.key
    """
    _carry_out("decrypt", use, input_file)


@click.command()
@_use_options
@_input_option
def hmac(*, use: Use, input_file: Path) -> None:
    """Have a file's code (HMAC-SHA-256) made with KEY.

    \b
    Example:
      concordat keys hmac codes -i order.json -o order.code \\
          --job 26fc3eef023ae66d --agreement codes.agreement \\
          --identity keys/shop.key
    """
    _carry_out("hmac", use, input_file)


@click.command()
@_use_options
@click.option(
    "-i", "--input", "input_file", type=FILE, required=True, help="The table: .csv, or .parquet by its name."
)
@click.option("--column", required=True, metavar="NAME", help="Its column of identifiers.")
@click.option("--keep", "kept", multiple=True, metavar="NAME", help="A column to keep beside the tokens.")
def tokenise(*, use: Use, input_file: Path, column: str, kept: tuple[str, ...]) -> None:
    """Have tokens made for a column of identifiers with KEY.

    Equal identifiers get equal tokens, whoever asks. The output has the column `token`, 32 hexadecimal digits
    or nothing, in the order of the rows. Each different identifier is sent and counted once.

    \b
    Example:
      concordat keys tokenise person_tokens -i members.csv --column email \\
          --keep segment -o tokens.csv --job 26fc3eef023ae66d \\
          --agreement tokens.agreement --identity keys/shop.key
    """
    from party_client.keys.table_file import read_columns, write_table  # noqa: PLC0415 - pyarrow
    from party_client.keys.tokenising import Identifiers  # noqa: PLC0415
    from party_client.results import require_format  # noqa: PLC0415

    use.require_sound("tokenise")
    if use.output is not None:
        require_format(use.output)
    table = read_columns(input_file, [column, *kept])
    identifiers = Identifiers(table.column(column))
    contents = list(identifiers.contents())
    outputs = use.outputs("tokenise", contents)
    value = {
        "use": "tokenise",
        "rows": table.num_rows,
        "identifiers": len(identifiers),
        "uses": len(contents),
    }
    if outputs is not None and use.output is not None:
        write_table(use.output, identifiers.with_tokens(outputs), table.select(list(kept)))
    done = f"{counted(len(identifiers), 'different identifier')} in {counted(len(contents), 'use')}"
    use.tell(f"{done}; tokens of {counted(table.num_rows, 'row')} in {use.output}", value)
