"""What can be wrong with a key: a name for each weakness, why it matters, and what to change.

Nothing here depends on a key; the texts are for people who have to act on them, the names for programs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Kind:
    """One kind of weakness."""

    what: str
    why: str
    change: str


@dataclass(frozen=True)
class Finding:
    """A weakness of one key, and where it is."""

    code: str
    """A key of `KINDS`."""
    where: str
    """Which statement, grant or property."""
    details: tuple[str, ...] = ()
    """By whom or with what, for instance."""

    @property
    def kind(self) -> Kind:
        """What it is, why it matters and what to change."""
        return KINDS[self.code]


_ATTESTED: Final = "add the conditions on ImageSha384, PCR1, PCR2 and PCR16 that `concordat kms plan` writes"
_REMOVE: Final = "take the statement out of the policy"
KINDS: Final[dict[str, Kind]] = {
    "unattested-decrypt": Kind(
        "Decrypt is allowed without an attestation document",
        "whoever has that name reads the data keys in the clear, outside any enclave",
        _ATTESTED,
    ),
    "iam-decrypt": Kind(
        "a policy of a user, group or role allows Decrypt without attestation",
        "the key's policy hands decisions to the account, so conditions elsewhere in it are walked around",
        "take the account out of the key's policy, and Decrypt out of the IAM policy",
    ),
    "iam-delegation": Kind(
        "the key's policy hands Decrypt to a whole account",
        "its root user decrypts, and whoever may write IAM policies there can let anybody decrypt",
        "take the account out of the key's policy; name the administrators one by one",
    ),
    "wildcard-principal": Kind(
        "the key's policy allows Decrypt to anybody",
        "every account in the world is meant, unless a condition happens to stop it",
        _REMOVE,
    ),
    "via-service": Kind(
        "Decrypt is allowed through another service",
        "the service decrypts for whoever may read there, and shows no attestation",
        _REMOVE,
    ),
    "passes-without-attestation": Kind(
        "a condition on attestation also holds when there is no document",
        "IfExists, Null, ForAllValues and negated operators are true for a request without the key",
        "compare with StringEqualsIgnoreCase, without quantifier and IfExists",
    ),
    "grant": Kind(
        "a grant gives use of the key",
        "grants stand beside the policy, cannot ask for attestation, and stay when the policy is changed",
        "revoke it: `aws kms revoke-grant`",
    ),
    "other-code": Kind(
        "an enclave with any image is let in",
        "an operator can run code of its own in an enclave; without PCR0 nothing says which code asks",
        _ATTESTED,
    ),
    "pcr8-alone": Kind(
        "an enclave is let in by its signing certificate (PCR8) alone",
        "whoever holds the signing key, and every image it ever signed, gets the data keys",
        "ask for ImageSha384 as well",
    ),
    "not-an-enclave": Kind(
        "an instance with NitroTPM is let in",
        "that is no enclave: whoever administers the instance sees its memory",
        "ask for ImageSha384, which only enclaves have",
    ),
    "debug-image": Kind(
        "an enclave in debug mode is let in",
        "its registers are zero and its console shows everything to the parent",
        "take the zeros out of the condition",
    ),
    "old-image": Kind(
        "an image that is no release of the agreement is let in",
        "values of one condition are alternatives: an old or vulnerable image stays good until it is removed",
        "take the value out, or add the release to the agreement",
    ),
    "other-agreement": Kind(
        "the right code is let in under any agreement (no PCR16)",
        "an operator runs the same image with an agreement that releases the data to itself",
        "ask for PCR16 as `concordat kms plan` does",
    ),
    "listed-agreement": Kind(
        "the key also opens under another agreement",
        "what is released then is what that agreement says",
        "one key for each agreement, and one value of PCR16 in its policy",
    ),
    "registers-apart": Kind(
        "PCR0, PCR1 and PCR2 need not be of one release",
        "registers that are checked apart, or not at all, let in combinations that nobody agreed on",
        "one statement for each release, with all of its registers",
    ),
    "other-context": Kind(
        "data keys with another encryption context open as well",
        "a wrapped key of other data, another party or another agreement can be put in place of this one",
        "ask for agreement, party and dataset, and for no further entries (kms:EncryptionContextKeys)",
    ),
    "outside-validity": Kind(
        "the key opens before or after the time that was agreed",
        "a release that was ended, or an agreement that is over, still gets the data keys",
        "ask for aws:CurrentTime as `concordat kms plan` does",
    ),
    "not-denied": Kind(
        "nothing denies what is not allowed",
        "the next grant, or policy of an administrator in a hurry, opens the key without attestation",
        "add the denials that `concordat kms plan` writes",
    ),
    "re-encrypt": Kind(
        "ReEncrypt is allowed",
        "it moves a data key under another KMS key, where other rules hold; no attestation is asked for",
        "deny kms:ReEncryptFrom to everybody",
    ),
    "grant-maker": Kind(
        "grants can be made",
        "whoever may make them can let anybody use the key, without attestation",
        "deny kms:CreateGrant to everybody",
    ),
    "policy-editable": Kind(
        "somebody who is no administrator in the plan can change the key's policy",
        "and so take every condition out of it",
        "allow kms:PutKeyPolicy to the administrators only, or name who it is with --administrator",
    ),
    "deletable": Kind(
        "somebody who is no administrator in the plan can disable or delete the key",
        "everything sealed under it is then lost, or cannot be had when it is needed",
        "allow it to the administrators only",
    ),
    "data-keys-outside": Kind(
        "data keys can be made or wrapped outside an enclave by others than the sealers",
        "they know such a key, and can hand its wrapped form to an enclave as if it were secret",
        "allow it to the sealers only, or name who it is with --sealer",
    ),
    "release-refused": Kind(
        "an enclave of the agreement is refused",
        "the run fails when the enclave asks for the data key",
        "put the policy in place that `concordat kms plan` writes",
    ),
    "multi-region": Kind(
        "the key is a multi-Region key",
        "replicas have policies of their own: each of them has to be checked as this one",
        "make a key for one Region; it cannot be changed afterwards",
    ),
    "imported-material": Kind(
        "the key material was brought in from outside (origin EXTERNAL)",
        "whoever made it may have a copy, and decrypts without KMS",
        "let KMS make the key",
    ),
    "external-store": Kind(
        "the key is kept in a custom or external key store",
        "whoever runs the store decides besides KMS, and may know the key",
        "use a key that KMS keeps itself",
    ),
    "key-state": Kind(
        "the key is not in use",
        "a disabled key opens nothing, and one that is pending deletion will be gone with all that it sealed",
        "enable it, or cancel the deletion",
    ),
    "key-kind": Kind(
        "the key is not a symmetric key of the customer",
        "data keys of the agreement are made with another kind",
        "make the key that `concordat kms plan` describes",
    ),
    "rotation-off": Kind(
        "the key is not rotated",
        "one key wraps everything for as long as it lives",
        "turn automatic rotation on; what was wrapped before still opens",
    ),
    "alias-elsewhere": Kind(
        "the alias of the plan leads to another key",
        "who uses the alias seals under a key that nobody checked",
        "point the alias to this key, and use the key's ARN",
    ),
    "alias-missing": Kind(
        "there is no alias of the plan",
        "enclaves ask for the key of their state by this name, and get none",
        "make the alias, for this key (`concordat kms plan --format terraform` has it)",
    ),
    "elsewhere": Kind(
        "the key is not where the plan says",
        "it is another key than the one that was meant, or another account owns it",
        "check the key's ARN, --account and --region",
    ),
}
