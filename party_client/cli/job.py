"""`concordat job`: start an enclave for an agreement, look at it, verify it, ask it for a run, end it.

What the coordinator says of a job is shown as its word. What `verify` says is proved.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from party_client import files
from party_client.agreements import load_agreed
from party_client.cli.agreed import (
    agreement_option,
    enclave_facts,
    enclave_lines,
    job_option,
)
from party_client.cli.connection import Connection, connect, connection_options
from party_client.cli.job_budget import budget
from party_client.cli.job_witness import witness
from party_client.cli.options import identity_option, state_option
from party_client.cli.present import console, emit, json_option, note, printable, say, table, warn
from party_client.cli.trust import Trust, root_warning, trust_options
from party_client.identity import Identity
from party_client.refusals import next_step
from party_client.release_memory import require_not_older
from protos.formats.limits import NONCE_BYTES
from protos.release.history import AgreedReleases

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(name="job")
def group() -> None:
    """Start and end jobs, verify their enclaves, and ask for runs."""


@group.command()
@click.argument("file", type=FILE)
@click.option("--no-wait", is_flag=True, help="Return before the enclave is bound to the agreement.")
@connection_options
@json_option
def start(*, file: Path, no_wait: bool, connection: Connection, as_json: bool) -> None:
    """Start an enclave, bound for its life to the agreement in FILE. Prints the job's id.

    All parties must have approved the agreement at the coordinator.

    \b
    Example:
      concordat job start flights.agreement --as operator
    """
    from party_client.jobs import facts, wait_until_running  # noqa: PLC0415 - gRPC

    agreement = load_agreed(file).agreement
    with connect(connection) as coordinator:
        job = coordinator.start_job(agreement.digest())
        if not no_wait:
            if console(stderr=True).is_terminal:
                note(f"job {job.job_id}: its enclave is starting")
            job = wait_until_running(coordinator, job.job_id)
    if job.missing_witnesses:
        missing = printable(", ".join(job.missing_witnesses))
        note(
            f"its state waits for witnesses, by the coordinator's word: {missing}; each of them: "
            f"concordat job witness {printable(job.job_id)}"
        )
    emit(as_json, facts(job), lambda out: out.print(printable(job.job_id)))


@group.command()
@click.argument("job_id", metavar="JOB")
@connection_options
@json_option
def show(*, job_id: str, connection: Connection, as_json: bool) -> None:
    """Show what the coordinator says of JOB. Nothing of it is verified.

    \b
    Example:
      concordat job show 26fc3eef023ae66d --as airline
    """
    from party_client.jobs import facts  # noqa: PLC0415 - gRPC

    with connect(connection) as coordinator:
        job = facts(coordinator.get_job(job_id))
    emit(as_json, job, lambda out: _render(job, out))


@group.command("list")
@connection_options
@json_option
def list_jobs(*, connection: Connection, as_json: bool) -> None:
    """List the coordinator's jobs.

    \b
    Example:
      concordat job list --as airline
    """
    from party_client.jobs import facts  # noqa: PLC0415 - gRPC

    with connect(connection) as coordinator:
        jobs = [facts(job) for job in coordinator.list_jobs()]
    rows = [(job["job_id"], job["state"], f"{job['agreement'][:16]}…", job["launcher"]) for job in jobs]
    emit(as_json, jobs, lambda out: out.print(table(("job", "state", "agreement", "runs on"), rows)))


@group.command()
@click.argument("job_id", metavar="JOB")
@connection_options
@json_option
def close(*, job_id: str, connection: Connection, as_json: bool) -> None:
    """End JOB and its enclave, with all keys and data in it.

    A state that outlives its enclave ends with its job, too.

    \b
    Example:
      concordat job close 26fc3eef023ae66d --as operator
    """
    from party_client.jobs import facts  # noqa: PLC0415 - gRPC

    with connect(connection) as coordinator:
        job = facts(coordinator.close_job(job_id))
    emit(as_json, job, lambda out: _render(job, out))


@group.command()
@click.argument("job_id", metavar="JOB")
@agreement_option
@state_option
@connection_options
@trust_options
@json_option
def verify(
    *,
    job_id: str,
    agreed: AgreedReleases,
    state: Path,
    connection: Connection,
    trust: Trust,
    as_json: bool,
) -> None:
    """Challenge the enclave of JOB and verify its answer.

    It has to prove, for a fresh nonce, which code it runs, to which agreement it is bound, and which keys are
    its own. A file of the agreement without a release change that was relied on here before is refused.

    \b
    Example:
      concordat job verify 26fc3eef023ae66d --agreement flights.agreement \\
          --as airline
    """
    from party_client.job_enclave import verify_job_enclave  # noqa: PLC0415 - gRPC

    require_not_older(agreed, state / "releases")
    with connect(connection) as coordinator:
        enclave = verify_job_enclave(
            coordinator, job_id, agreed, roots=trust.anchors(), now=datetime.now(UTC)
        )

    def render(out: Console) -> None:
        say(out, "\n".join(enclave_lines(enclave)))
        warn(out, root_warning(enclave.attestation.root))

    emit(as_json, enclave_facts(enclave), render)


@group.command()
@click.argument("job_id", metavar="JOB")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="Write it there.",
)
@connection_options
def document(*, job_id: str, output: Path, connection: Connection) -> None:
    """Write a document of JOB's enclave to a file.

    That is an attestation document as the coordinator hands it out. Nothing of it is verified here:
    `concordat attestation verify` does, and `concordat kms explain` says whether a key would open for it.

    \b
    Example:
      concordat job document 26fc3eef023ae66d -o document.cbor --as airline
    """
    with connect(connection) as coordinator:
        found, _ = coordinator.attest(job_id, secrets.token_bytes(NONCE_BYTES))
    files.create(output, found, mode=files.PUBLIC)


@group.command()
@click.argument("query_id", metavar="QUERY")
@job_option
@agreement_option
@identity_option
@click.option("--param", "texts", multiple=True, metavar="NAME=VALUE", help="A parameter; once for each.")
@connection_options
@trust_options
@json_option
def run(
    *,
    query_id: str,
    job_id: str,
    agreed: AgreedReleases,
    identity: Identity,
    texts: tuple[str, ...],
    connection: Connection,
    trust: Trust,
    as_json: bool,
) -> None:
    """Ask the enclave to run QUERY, and wait for the release.

    The enclave is verified first. Prints the run's id.

    \b
    Example:
      concordat job run delay_by_wind --job 26fc3eef023ae66d \\
          --agreement flights.agreement --identity keys/analyst.key \\
          --param min_year=1990
    """
    from party_client.client import Client  # noqa: PLC0415 - gRPC and pyarrow
    from party_client.runs import parse_parameters, require_runnable  # noqa: PLC0415

    parameters = parse_parameters(require_runnable(agreed.agreement, query_id, identity.id), list(texts))
    with connect(connection, identity_id=identity.id) as coordinator:
        client = Client(coordinator, identity, roots=trust.anchors())
        enclave = client.verify(job_id, agreed)
        run_id = client.run(job_id, agreed, query_id, parameters, enclave=enclave)
    if (warning := root_warning(enclave.attestation.root)) and not as_json:
        note(warning)
    value = {"run": run_id, "query": query_id, "parameters": parameters, **enclave_facts(enclave)}
    emit(as_json, value, lambda out: out.print(run_id.hex()))


def _render(job: Any, out: Console) -> None:
    lines = [
        f"job        {job['job_id']}",
        f"state      {job['state']}{': ' if job['detail'] else ''}{job['detail']}",
        f"phase      {job['phase'] or '-'}",
        f"runs on    {job['launcher']}",
        f"agreement  {job['agreement']}",
    ]
    if job["missing_witnesses"]:
        missing = ", ".join(job["missing_witnesses"])
        lines.append(f"witnesses  missing: {missing} (concordat job witness {job['job_id']})")
    for slot in job["datasets"]:
        lines.append(f"dataset    {slot['dataset']}: {'complete' if slot['complete'] else 'missing'}")
    for deposit in job["deposits"]:
        lines.append(f"deposit    {deposit['dataset']}, by {deposit['deposited_by']}: {deposit['said']}")
    for key in job["keys_wanted"]:
        wanted = f"key        for {key['subject']}, from {key['endpoint']}: "
        lines.append(wanted + (key["said"] or "not asked for yet"))
        if key["said"]:
            lines.append(f"           {next_step(key['said'])}")
    say(out, "\n".join(lines))


group.add_command(budget)
group.add_command(witness)
