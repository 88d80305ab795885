"""`concordat simulator kms`: the SIMULATED KMS, its credentials, its roles and its first keys."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from party_client import files
from party_client.attestation import EmulatorUnsafe, TrustedRoots
from party_client.attestation.emulator import Anchors
from scenarios.kms.credentials import issue
from scenarios.kms.keys import USAGES, default_policy, make_key
from scenarios.kms.planned import PLAN_MAX_BYTES, read_plan_untrusted
from scenarios.kms.policies import POLICY_MAX_BYTES, parse_key_policy_untrusted
from scenarios.kms.principals import Caller
from scenarios.kms.roles import SESSION_MOST_S, SESSION_USUAL_S
from scenarios.kms.server import KmsServer, serving
from scenarios.kms.service import KmsService
from scenarios.kms.store import DEFAULT_ACCOUNT, DEFAULT_REGION, KmsStore

NOTICE: Final = "SIMULATED: a model of AWS KMS for this computer alone; it protects nothing"
_PEM_MAX_BYTES: Final = 64 * 1024
_FILE: Final = click.Path(path_type=Path, exists=True, dir_okay=False)
_Command = TypeVar("_Command", bound=Callable[..., Any])


def _default_state() -> Path:
    home = os.environ.get("CONCORDAT_HOME")
    return (Path(home) if home else Path.home() / ".concordat") / "simulated-kms"


def _state_option(command: _Command) -> _Command:
    return click.option(
        "--state",
        type=click.Path(path_type=Path, file_okay=False),
        default=_default_state,
        metavar="DIR",
        help="Folder of one KMS; default: $CONCORDAT_HOME/simulated-kms.",
    )(command)


def _policy_option(name: str, text: str) -> Callable[[_Command], _Command]:
    return click.option(name, type=_FILE, metavar="FILE", help=text)


@click.group("kms")
def group() -> None:
    """A SIMULATED KMS: to see a key refused before relying on AWS."""


@group.command("serve")
@_state_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port; default: any free one.")
@click.option("--account", help=f"Account of a new folder; default: {DEFAULT_ACCOUNT}.")
@click.option("--region", help=f"Region of a new folder; default: {DEFAULT_REGION}.")
@click.option(
    "--attestation-root",
    "root_files",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    metavar="PEM",
    help="Root of trust of attestation documents; without one, none is believed.",
)
@click.option("--unsafe-emulator", is_flag=True, help="Believe the emulator's unsigned documents instead.")
def serve_command(
    *,
    state: Path,
    host: str,
    port: int,
    account: str | None,
    region: str | None,
    root_files: tuple[Path, ...],
    unsafe_emulator: bool,
) -> None:
    """Serve until interrupted; the log goes to standard error.

    Prints one line of JSON when it listens: the endpoint, and the certificate
    by which its TLS is verified.

    \b
    Example:
      concordat simulator kms serve --attestation-root simulated-root.pem
    """
    store = KmsStore(state, account=account, region=region)
    service = KmsService(store, roots=_roots(root_files, unsafe_emulator), clock=_now, log=_log)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with serving(KmsServer((host, port), service, store.tls_files(_now()))) as server:
        shown = {"endpoint": server.endpoint, "ca": str(store.authority_path), "region": store.region}
        click.echo(json.dumps({**shown, "account": store.account, "simulated": True}))
        sys.stdout.flush()
        ended.wait()


@group.command("credential")
@_state_option
@click.option("--principal", required=True, metavar="ARN", help="Whose: a role, a user, or root in IAM.")
@click.option("--session", metavar="NAME", help="Session of the role; then there is a session token.")
@click.option("--minutes", type=click.IntRange(1, 720), help="How long it is valid; default: always.")
@_policy_option("--policy", "What IAM lets the principal do, JSON; default: nothing.")
@_policy_option("--session-policy", "What the session is cut down to, JSON.")
@click.option(
    "--also",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    multiple=True,
    metavar="DIR",
    help="Folder of another KMS that knows the key too, as all of AWS would.",
)
def credential_command(
    *,
    state: Path,
    principal: str,
    session: str | None,
    minutes: int | None,
    policy: Path | None,
    session_policy: Path | None,
    also: tuple[Path, ...],
) -> None:
    """Issue an access key and print it.

    As IAM or STS would; printed are the shell variables that AWS's tools read.

    \b
    Example:
      concordat simulator kms credential \\
          --principal arn:aws:iam::111122223333:role/enclave --session job
    """
    store = KmsStore(state)
    credential = issue(
        Caller(principal, session),
        iam_policy=_text(policy),
        session_policy=_text(session_policy),
        expires_at=_now() + timedelta(minutes=minutes) if minutes else None,
    )
    for each in (store, *map(KmsStore, also)):
        each.put_credential(credential)
    click.echo(f"export AWS_ACCESS_KEY_ID={credential.access_key_id}")
    click.echo(f"export AWS_SECRET_ACCESS_KEY={credential.secret_access_key}")
    if credential.session_token:
        click.echo(f"export AWS_SESSION_TOKEN={credential.session_token}")
    click.echo(f"export AWS_REGION={store.region} AWS_CA_BUNDLE={store.authority_path}")


@group.command("role")
@_state_option
@click.option("--trust", type=_FILE, required=True, metavar="FILE", help="Who may take it on, JSON.")
@_policy_option("--policy", "What IAM lets its sessions do, JSON; default: nothing.")
@click.option(
    "--max-session-s",
    type=click.IntRange(SESSION_USUAL_S, SESSION_MOST_S),
    default=SESSION_USUAL_S,
    show_default=True,
    metavar="S",
    help="How long a session may be asked for.",
)
@click.argument("name")
def role_command(state: Path, name: str, trust: Path, policy: Path | None, max_session_s: int) -> None:
    """Make a role of the account, or change it, and print its ARN.

    AssumeRole takes it on, at the endpoint that `serve` prints.

    \b
    Example:
      concordat simulator kms role enclave --trust trust.json
    """
    click.echo(KmsStore(state).make_role(name, _text(trust) or "", _text(policy), max_session_s).arn)


@group.command("key")
@_state_option
@_policy_option("--policy", "The key's policy, JSON.")
@click.option("--spec", type=click.Choice(list(USAGES)), default="SYMMETRIC_DEFAULT", help="Kind of key.")
def key_command(state: Path, policy: Path | None, spec: Any) -> None:
    """Make a key in the state folder and print its ARN.

    CreateKey does the same for a client that may call it. Without a policy,
    IAM policies decide.

    \b
    Example:
      concordat simulator kms key --policy key-policy.json
    """
    store = KmsStore(state)
    text = _text(policy) or default_policy(store.account)
    parse_key_policy_untrusted(text)
    key = make_key(spec, arn_prefix=store.arn_prefix, policy=text, description="", now=_now())
    store.put_key(key)
    click.echo(key.arn)


@group.command("apply")
@_state_option
@click.option("--key", metavar="KEY", help="Give this key the policy, instead of making one.")
@click.argument("plan", type=_FILE)
def apply_command(state: Path, plan: Path, key: str | None) -> None:
    """Set up what PLAN says and print the ARN of the key.

    PLAN is what `concordat kms plan --format json` wrote: a new key with its
    policy and alias, and the enclave's role. At AWS Terraform does that. When
    the agreement's releases have changed: plan again, and apply with --key.

    \b
    Example:
      concordat simulator kms apply plan.json
    """
    store = KmsStore(state)
    planned = read_plan_untrusted(files.read(plan, max_bytes=PLAN_MAX_BYTES, private=False))
    click.echo(planned.put_in(store, now=_now(), key=store.key(key) if key else None).arn)


def _roots(root_files: tuple[Path, ...], unsafe_emulator: bool) -> Anchors | None:
    if unsafe_emulator and root_files:
        raise click.UsageError("--unsafe-emulator stands in place of --attestation-root, and beside none")
    if unsafe_emulator:
        return EmulatorUnsafe()
    found: TrustedRoots | None = None
    for path in root_files:
        pem = files.read(path, max_bytes=_PEM_MAX_BYTES, private=False)
        root = TrustedRoots.from_pem(pem, name=str(path))
        found = root if found is None else found | root
    return found


def _text(path: Path | None) -> str | None:
    if path is None:
        return None
    return files.read(path, max_bytes=POLICY_MAX_BYTES, private=False).decode("utf-8", "replace")


def _now() -> datetime:
    return datetime.now(UTC)


def _log(record: Mapping[str, Any]) -> None:
    sys.stderr.write(json.dumps(record) + "\n")
    sys.stderr.flush()
