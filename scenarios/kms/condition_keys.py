"""Which condition keys this server knows, and which of them have several values.

A policy with any other key is refused, by name: a condition that is never met, because nobody fills it in,
looks like one that holds. The keys of one service are none of the other's. Some keys are known and always
absent here (no request comes through another service or a VPC, nobody has tags); AWS's rules for absent keys
then apply. Names are not case-sensitive.
(AWS KMS developer guide, "Condition keys for AWS KMS"; IAM user guide, "AWS global condition context
keys", "Available keys for AWS STS".)
"""

from __future__ import annotations

import re
from typing import Final

EXTERNAL_ID: Final = "sts:externalid"
SESSION_NAME: Final = "sts:rolesessionname"
IMAGE: Final = "kms:recipientattestation:imagesha384"
PCR: Final = "kms:recipientattestation:pcr"
PCRS: Final = 32

_PRESENT: Final = {
    *("aws:principalarn", "aws:principalaccount", "aws:principaltype", "aws:sourceip", "aws:currenttime"),
    *("aws:epochtime", "aws:securetransport", "aws:requestedregion", "aws:resourceaccount"),
    *("aws:viaawsservice", "aws:principalisawsservice"),
    *("kms:calleraccount", "kms:encryptionalgorithm", "kms:keyspec", "kms:keyusage", "kms:keyorigin"),
    *("kms:customermasterkeyspec", "kms:customermasterkeyusage", "kms:multiregion", "kms:datakeypairspec"),
    *("kms:keyagreementalgorithm", "kms:bypasspolicylockoutsafetycheck", "kms:requestalias"),
    *(
        "kms:grantisforawsresource",
        "kms:grantconstrainttype",
        "kms:granteeprincipal",
        "kms:retiringprincipal",
    ),
    *(EXTERNAL_ID, SESSION_NAME),
}
_ABSENT: Final = {
    *("aws:principalorgid", "aws:sourcevpc", "aws:sourcevpce", "aws:vpcsourceip", "aws:sourcearn"),
    *("aws:sourceaccount", "aws:userid", "aws:username", "aws:multifactorauthpresent"),
    *("aws:multifactorauthage", "aws:tokenissuetime", "aws:useragent", "aws:referer", "kms:viaservice"),
    "sts:sourceidentity",
}
_SEVERAL_VALUES: Final = {
    *("kms:encryptioncontextkeys", "kms:grantoperations", "kms:resourcealiases"),
    *("aws:tagkeys", "aws:calledvia", "aws:principalorgpaths"),
    "sts:transitivetagkeys",
}
_FAMILIES: Final = re.compile(
    r"kms:encryptioncontext:.{1,256}"
    r"|kms:recipientattestation:(imagesha384|(nitrotpm)?pcr([0-9]|[12][0-9]|3[01]))"
    r"|aws:(principaltag|requesttag|resourcetag)/.{1,128}",
    re.DOTALL,
)


def is_known(key: str, services: frozenset[str]) -> bool:
    """Whether conditions on `key` can be judged where requests go to `services`, `aws` being all of them."""
    name = key.lower()
    if name.partition(":")[0] not in services:
        return False
    return name in _PRESENT | _ABSENT | _SEVERAL_VALUES or _FAMILIES.fullmatch(name) is not None


def has_several_values(key: str) -> bool:
    """Whether a request may have any number of values for `key`, so that only set operators fit."""
    return key.lower() in _SEVERAL_VALUES
