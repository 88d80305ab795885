"""Treacheries with what was released: the right result of the right run, for the right analyst, unchanged."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from protos.formats.receipt import Claims, Receipt
from protos.formats.result import SealedResult, seal_result
from scenarios.hostile.holdings import Holdings, Job
from scenarios.hostile.mischief import Mischief, Step
from scenarios.hostile.recordings import Delivery


def _first_of(job: Job, receiver: str) -> Delivery:
    """What `receiver` got of the first of its runs."""
    return next(items[receiver] for items in job.deliveries.values() if receiver in items)


class ResultOfAnEarlierRun(Mischief):
    """Genuine, and answers what was asked another time."""

    name = "result-of-an-earlier-run"
    deed = "hands out result and receipt of an earlier run"
    attacks = (13,)
    step = Step.RECEIVE
    code = "receipt/mismatch"

    def delivery(self, at: Holdings, job: Job, run_id: bytes, receiver: str) -> Delivery:  # noqa: ARG002
        """Both, as they were handed out then."""
        return _first_of(at.first_job, receiver)


class ReceiptOfAnEarlierRun(Mischief):
    """The new result under the old proof."""

    name = "receipt-of-an-earlier-run"
    deed = "hands out the result with the receipt of an earlier run"
    attacks = (13,)
    step = Step.RECEIVE
    code = "receipt/mismatch"

    def delivery(self, at: Holdings, job: Job, run_id: bytes, receiver: str) -> Delivery:
        """The receipt is genuine and of something else."""
        return replace(
            super().delivery(at, job, run_id, receiver), receipt=_first_of(at.first_job, receiver).receipt
        )


class ReceiptAltered(Mischief):
    """To hide that something was held back, for example."""

    name = "receipt-altered"
    deed = "alters the receipt: nothing was held back, it now says"
    attacks = (42,)
    step = Step.RECEIVE
    code = "receipt/not-attested"

    def delivery(self, at: Holdings, job: Job, run_id: bytes, receiver: str) -> Delivery:
        """Well-formed claims, which nobody attested."""
        genuine = super().delivery(at, job, run_id, receiver)
        receipt = Receipt.decode_untrusted(genuine.receipt)
        claims = Claims.decode_untrusted(receipt.claims)
        nothing = tuple(replace(item, groups_at_most=0) for item in claims.suppressed)
        altered = replace(claims, suppressed=nothing).encode()
        return replace(genuine, receipt=replace(receipt, claims=altered).encode())


class TableMadeUp(Mischief):
    """The analyst's public key is in the agreement: anybody can seal something to it."""

    name = "table-made-up"
    deed = "seals a table of its own to the analyst and adds the genuine receipt"
    attacks = (14, 42)
    step = Step.RECEIVE
    code = "receipt/mismatch"

    def delivery(self, at: Holdings, job: Job, run_id: bytes, receiver: str) -> Delivery:
        """It opens, and its digest is not in the receipt."""
        genuine = super().delivery(at, job, run_id, receiver)
        table = pa.table({"segment": ["chess"], "purchases": [1], "total": [1]})
        with pa.BufferOutputStream() as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        invented = seal_result(
            sink.getvalue().to_pybytes(),
            context=SealedResult.decode_untrusted(genuine.sealed).context,
            receiving_key=at.agreement.participant(receiver).receiving_key,
        )
        return replace(genuine, sealed=invented.encode())


class ResultOfSomebodyElse(Mischief):
    """What one analyst asked is nothing to the other."""

    name = "result-of-somebody-else"
    deed = "hands the analyst's result and receipt to the other analyst"
    attacks = (42,)
    step = Step.RIVAL_RECEIVES
    code = "receipt/mismatch"

    def delivery(self, at: Holdings, job: Job, run_id: bytes, receiver: str) -> Delivery:  # noqa: ARG002
        """Asked for by the rival, given from the analyst's."""
        return _first_of(job, "analyst")


class ResultRelabelled(Mischief):
    """The same with the right label on it."""

    name = "result-relabelled"
    deed = "labels the analyst's sealed result as the other analyst's own"
    attacks = (42,)
    step = Step.RIVAL_RECEIVES
    code = "seal/does-not-open"

    def delivery(self, at: Holdings, job: Job, run_id: bytes, receiver: str) -> Delivery:
        """Everything is the rival's but for the sealed bytes, which are for another key."""
        own = super().delivery(at, job, run_id, receiver)
        other = SealedResult.decode_untrusted(_first_of(job, "analyst").sealed)
        relabelled = replace(other, context=SealedResult.decode_untrusted(own.sealed).context)
        return replace(own, sealed=relabelled.encode())
