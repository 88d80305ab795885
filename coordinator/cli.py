"""`concordat coordinator`: run one, and plan an instance for it.

Standard output gets one line when it serves; events go to standard error. SIGTERM or Ctrl-C ends it with exit
code 0.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from coordinator import log
from coordinator.daemon import Daemon, DaemonOptions
from coordinator.errors import CannotServeError
from coordinator.kms.services import chosen_key_services, key_service_options
from coordinator.launcher_options import chosen, launcher_options
from coordinator.plan.command import plan
from coordinator.quotas import GIB, Quotas
from coordinator.server import Transport

_DEFAULTS: Final = Quotas()
_FOLDER: Final = click.Path(path_type=Path, file_okay=False)
_Command = TypeVar("_Command", bound=Callable[..., Any])


@click.group(name="coordinator")
def group() -> None:
    """Run the coordinator: it relays, schedules and stores, and is trusted by nobody."""


group.add_command(plan)


def _quotas(command: _Command) -> _Command:
    """Options for what one caller may use."""
    for name, default, text in (
        ("--max-spool-gib", _DEFAULTS.spool_bytes // GIB, "Sealed data that a caller keeps here, in GiB."),
        ("--max-upload-gib", _DEFAULTS.upload_bytes // GIB, "Sealed data of one upload, in GiB."),
        ("--max-streams", _DEFAULTS.streams, "Upload streams of a caller at once."),
        ("--max-runs", _DEFAULTS.runs_at_once, "Runs of a caller at once."),
        ("--max-deposits", _DEFAULTS.deposits, "Datasets of a caller that wait here for enclaves."),
        ("--max-agreements", _DEFAULTS.agreements, "Agreements that a caller puts here."),
        ("--max-jobs-of-all", _DEFAULTS.jobs_of_all, "Living jobs of all callers: each one is an enclave."),
        ("--max-jobs", _DEFAULTS.jobs, "Living jobs of a caller."),
    ):
        option = click.option(
            name, type=click.IntRange(min=1), default=default, show_default=True, metavar="N", help=text
        )
        command = option(command)
    return command


def _where(command: _Command) -> _Command:
    """Options for where things are."""
    for option in (
        click.option(
            "--state", type=_FOLDER, metavar="DIR", help="State folder; default: ~/.concordat/coordinator."
        ),
        click.option("--plaintext", is_flag=True, help="No TLS: loopback only, and all callers are one."),
        click.option(
            "--tls",
            type=_FOLDER,
            metavar="DIR",
            help="Folder with coordinator.pem, coordinator.key.pem, ca.pem.",
        ),
        click.option(
            "--listen",
            "addresses",
            multiple=True,
            default=("127.0.0.1:50051",),
            show_default=True,
            metavar="HOST:PORT",
            help="Where to listen, once or more. Port 0 is any free one.",
        ),
    ):
        command = option(command)
    return command


@group.command()
@_where
@launcher_options
@key_service_options
@click.option(
    "--operator",
    "operators",
    multiple=True,
    metavar="NAME",
    help="Caller who may close any job and remove any deposit.",
)
@click.option("--keep-enclaves", is_flag=True, help="On exit leave enclaves to the next start.")
@_quotas
@click.option(
    "--log-format",
    type=click.Choice(["json", "text"]),
    default="text",
    show_default=True,
    help="How events are written to standard error.",
)
def serve(
    *,
    addresses: tuple[str, ...],
    tls: Path | None,
    plaintext: bool,
    state: Path | None,
    operators: tuple[str, ...],
    keep_enclaves: bool,
    log_format: log.LogFormat,
    **rest: Any,
) -> None:
    """Serve until SIGTERM or Ctrl-C.

    \b
    Examples:
      concordat coordinator serve --tls certificates --listen 0.0.0.0:50051
      concordat coordinator serve --plaintext --state /tmp/coordinator
      concordat coordinator serve --tls tls --launcher qemu --image enclave.eif
      concordat coordinator serve --tls tls --launcher nitro --image enclave.eif
    """
    if plaintext == (tls is not None):
        raise click.UsageError("give --tls DIR, or --plaintext for a loopback address; one of the two")
    key_services = chosen_key_services(rest)
    launcher = chosen(rest).make(_home())
    log.configure(log_format)
    options = DaemonOptions(
        state=(state or _home() / "coordinator").absolute(),
        transport=Transport.mutual_tls(addresses, tls) if tls else Transport.plaintext(addresses),
        quotas=_quotas_of(rest),
        operators=frozenset(operators),
        key_services=key_services,
    )
    daemon = Daemon(options, launcher)
    serve_until_signalled(daemon, keep_enclaves=keep_enclaves, how=_how(tls, launcher.name))


def serve_until_signalled(daemon: Daemon, *, keep_enclaves: bool, how: str) -> None:
    """Start `daemon`, say so on standard output, and stop it on SIGTERM or SIGINT."""
    signalled = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: signalled.set())
    try:
        listening = daemon.start()
        click.echo(f"coordinator: serving at {', '.join(listening)} ({how})")
        signalled.wait()
    except CannotServeError:
        keep_enclaves = True  # they were not started by this process
        raise
    finally:
        daemon.stop(keep_enclaves=keep_enclaves)


def _quotas_of(given: dict[str, int]) -> Quotas:
    return Quotas(
        agreements=given["max_agreements"],
        deposits=given["max_deposits"],
        jobs=given["max_jobs"],
        jobs_of_all=given["max_jobs_of_all"],
        streams=given["max_streams"],
        runs_at_once=given["max_runs"],
        upload_bytes=given["max_upload_gib"] * GIB,
        spool_bytes=given["max_spool_gib"] * GIB,
    )


def _how(tls: Path | None, launcher: str) -> str:
    transport = "mutual TLS" if tls else "plaintext, loopback only"
    return f"{transport}; enclaves: {launcher}"


def _home() -> Path:
    return Path(os.environ.get("CONCORDAT_HOME") or Path.home() / ".concordat")
