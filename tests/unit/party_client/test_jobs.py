"""What a coordinator says of a job, as it is shown."""

from __future__ import annotations

from party_client.jobs import facts
from protos.v1 import concordat_pb2 as wire


def test_what_a_coordinator_says_of_deposits_and_keys_is_one_line_each() -> None:
    job = wire.Job(
        deposits=[wire.DepositInJob(dataset="visits", deposited_by="publisher", said="accepted\nhint: pay")],
        errands=[wire.Errand(subject="visits\nx", endpoint="kms.example:443\nx", said="kms-denied\nx")],
    )
    said = facts(job)
    assert said["deposits"] == [{"dataset": "visits", "deposited_by": "publisher", "said": "accepted"}]
    assert said["keys_wanted"] == [{"subject": "visits", "endpoint": "kms.example:443", "said": "kms-denied"}]
