"""A party's own key in AWS KMS: the policy that ties it to an agreement, and who else could decrypt with it.

General layout: `terms` says for whom, which code and which data the key opens; `plan` writes that as policies
and `terraform` as a file that sets them up. `snapshot` holds what was read of a live key (by `live`, from
AWS, or from a file), and `checking` holds it against the terms: `probes` asks `evaluation`, a model of how
AWS decides, whether requests pass that should not; `findings` says what is wrong and what to change.
`policy`, `request` and `conditions` are what policies and requests are made of. `agreed` is what an agreement
says of a party's KMS and `authorities` who vouches for it; `sealing_key` says under which key a dataset may
be sealed, and `data_keys` has KMS (reached by `access`) make a data key of it.
"""

from party_client.kms.checking import KeyReport, check_key
from party_client.kms.findings import Finding
from party_client.kms.plan import KmsPlan, plan
from party_client.kms.sealing_key import SealingKey, checked_key, unchecked_key
from party_client.kms.snapshot import Snapshot, load_snapshot
from party_client.kms.terms import KeyTerms, Place, key_terms
from party_client.kms.terraform import terraform

__all__ = [
    "Finding",
    "KeyReport",
    "KeyTerms",
    "KmsPlan",
    "Place",
    "SealingKey",
    "Snapshot",
    "check_key",
    "checked_key",
    "key_terms",
    "load_snapshot",
    "plan",
    "terraform",
    "unchecked_key",
]
