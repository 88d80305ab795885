"""From the spool to the enclave: in order, few chunks in flight, from wherever the enclave is.

What to send next is the enclave's own word, asked for on every new connection; so it does not matter who
crashed or how often. Reads what an enclave answers: a number that no sent chunk explains is an error.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from coordinator import log
from coordinator.enclave_link import EnclaveLink
from coordinator.enclaves import Enclaves
from coordinator.errors import (
    CoordinatorError,
    EnclaveAnswerError,
    EnclaveRefusedError,
    EnclaveUnreachableError,
)
from coordinator.jobs import Job
from coordinator.upload import Upload
from protos.formats.calls import Op, Refusal
from protos.formats.frames import Frame

IN_FLIGHT_CHUNKS: Final = 8
_WAIT_S: Final = 1.0
_RETRY_S: Final = 0.5


def forward(upload: Upload, enclaves: Enclaves, job: Job) -> None:
    """Bring every durable chunk to the enclave, and those that the caller's stream still brings.

    One thread at a time does this for an upload; others wait for it. Raises what the enclave link raises.
    """
    with upload.forwarding, enclaves.link(job) as link:
        announced = upload.announced
        begun = link.call(
            Op.BEGIN,
            deadline_s=enclaves.deadlines.call_s,
            body=announced.signed_header,
            dataset=announced.dataset,
            upload=announced.upload_id,
        )
        _send_chunks(upload, link, _next_chunk(begun), deadline_s=enclaves.deadlines.call_s)


def forward_while_receiving(upload: Upload, enclaves: Enclaves, current_job: Callable[[], Job]) -> None:
    """`forward`, again and again for as long as a stream is open, whatever happens to the connection.

    A refusal stops the upload; an enclave that cannot be reached, or lacks the key, is tried again and
    catches up.
    """
    while True:
        try:
            job = current_job()
            job.require_running()
            forward(upload, enclaves, job)
        except (EnclaveUnreachableError, EnclaveAnswerError) as error:
            log.problem("forwarding-interrupted", upload=upload.name, code=error.code)
            upload.not_taking()
        except EnclaveRefusedError as error:
            if error.refusal is Refusal.KEY_WANTED:  # it is being fetched (`bringing`)
                upload.not_taking()
            else:
                upload.stop(error)
        except CoordinatorError as error:
            upload.stop(error)
        if not upload.is_receiving:
            return
        time.sleep(_RETRY_S)


def _send_chunks(upload: Upload, link: EnclaveLink, number: int, *, deadline_s: float) -> None:
    upload.taken(number)
    acknowledged = number
    while True:
        if link.in_flight < IN_FLIGHT_CHUNKS and upload.spool.durable > number:
            chunk = upload.spool.read(number)
            link.send(
                Op.CHUNK,
                deadline_s=deadline_s,
                body=chunk.sealed,
                upload=upload.announced.upload_id,
                number=number,
                last=chunk.last,
            )
            number += 1
        elif link.in_flight:
            next_chunk = _next_chunk(link.receive(deadline_s=deadline_s))
            # More than was sent here is possible: the rest of an earlier connection may have arrived late.
            if not acknowledged <= next_chunk <= upload.spool.durable:
                raise EnclaveAnswerError(
                    f"the enclave wants chunk {next_chunk}, expected {acknowledged} to {upload.spool.durable}"
                )
            acknowledged, number = next_chunk, max(number, next_chunk)
            upload.taken(acknowledged)
            upload.spool.taken(acknowledged)
        elif not upload.wait_for_chunk(number, timeout_s=_WAIT_S) and not upload.is_receiving:
            return


def _next_chunk(answer: Frame) -> int:
    value = answer.header.get("next")
    if type(value) is not int or value < 0:
        raise EnclaveAnswerError("the enclave's answer has no next chunk number")
    return value
