"""What to do about a refusal: this client's own words for every code of an enclave or a coordinator.

Advice is what people act on, so none of it comes from the coordinator, which is trusted by nobody: with its
code it can choose among the sentences here, and no more. The enclave's codes are a closed list
(`protos.formats.calls`) and say nothing about data, so the advice is general too.
"""

from __future__ import annotations

from typing import Final

from protos.formats.calls import Refusal

LINE_MAX_CHARACTERS: Final = 400
_OTHER_RELEASES: Final = "are this client, the coordinator and the enclave of releases that go together?"
_CONTINUES: Final = "give the command again: it continues where this one stopped"
_OF_THE_ENCLAVE: Final[dict[str, str]] = {
    Refusal.MALFORMED: _OTHER_RELEASES,
    Refusal.WRONG_PHASE: "see how far the enclave is: `concordat job show`",
    Refusal.ALREADY_BOUND: "start another job: an enclave serves one agreement all its life",
    Refusal.NOT_IN_FORCE: "when all parties have approved (`concordat agreement fetch`), start another job",
    Refusal.NOT_VALID_NOW: "when agreement and release are valid (`concordat agreement show`), start a job",
    Refusal.UNKNOWN: "see what there is to ask for: `concordat agreement show`, `concordat job show`",
    Refusal.NOT_ALLOWED: "see who may do this: `concordat agreement check`",
    Refusal.BAD_SIGNATURE: "use the identity that is in the agreement; if you did, it was altered on the way",
    Refusal.WRONG_PLACE: "give the command again, for the enclave that is there now; if that is refused too, "
    "the coordinator passes on something else than you send",
    Refusal.DOES_NOT_OPEN: "it was altered on the way: give the command again, which seals the dataset anew",
    Refusal.KEY_WANTED: "its key has not come from its owner's KMS yet: see `concordat dataset deposits`",
    Refusal.KMS_DENIED: "the owner's KMS refused its key: the owner finds out why, `concordat kms explain` "
    "and `concordat kms check`",
    Refusal.KMS_FAILED: "the owner's KMS was not reached, or is not as agreed: `concordat agreement show`",
    Refusal.STATE_WANTED: "every witness has to let the enclave take its state up: `concordat job witness`",
    Refusal.STATE_BEHIND: "a witness knows more of the state than the coordinator offers: ask the operator",
    Refusal.STATE_FORKED: "a witness knows another state than the one offered: tell the other parties",
    Refusal.OUT_OF_ORDER: f"something was lost on the way; {_CONTINUES}",
    Refusal.OVER_LIMIT: "see how many rows and bytes were agreed: `concordat agreement show`",
    Refusal.SCHEMA_MISMATCH: "find the rows with `concordat dataset check`, and correct them at the source",
    Refusal.TOO_SMALL: "send as many rows and units as the agreement asks for (min_rows, min_units): "
    "`concordat agreement show`",
    Refusal.MANIFEST_MISMATCH: "not all of it arrived: give the command again, which seals the dataset anew",
    Refusal.SLOT_TAKEN: "the enclave has this dataset already; another version of it needs another job",
    Refusal.NOT_READY: "wait until every dataset of the query is complete: `concordat job show`",
    Refusal.QUERY_REFUSED: "see which rule of the agreement the query breaks: `concordat agreement check`",
    Refusal.NO_RUNS_LEFT: "the agreed number of runs is used up; further runs need another agreement",
    Refusal.NO_RUNS_NOW: "wait: the agreed number of runs in a day, a week or a month is used up; "
    "`concordat job budget` says what is left",
    Refusal.PRIVACY_SPENT: "an owner's privacy budget is used up; what was released can be fetched again, "
    "and more needs another agreement",
    Refusal.NOT_APPROVED: "write the use to a file (--prepare), have it approved by whom the agreement names "
    "(`concordat keys approve`), and give it with --prepared and --approval",
    Refusal.NO_USES_LEFT: "the agreed number of uses or identifiers is used up: `concordat job budget`; "
    "more need another agreement",
    Refusal.NO_USES_NOW: "wait: the agreed number of uses in a day, a week or a month is used up; "
    "`concordat job budget` says what is left",
    Refusal.OUT_OF_RESOURCES: "the run needs more memory than agreed: agree on more (limits.memory_mib)",
    Refusal.INTERNAL: "the enclave says no more, so that nothing about the data gets out; ask its operator",
}
_OF_THE_COORDINATOR: Final[dict[str, str]] = {
    "coordinator/bad-request": _OTHER_RELEASES,
    "coordinator/unknown": "see what is there: `concordat agreement list`, `concordat job list`",
    "coordinator/conflict": "if the same is going on elsewhere, wait for it; else try again in a minute",
    "coordinator/not-allowed": "connect as the one whom this concerns (--as NAME), or leave it to that one",
    "coordinator/over-quota": "end jobs that are over (`concordat job close`), or ask the operator for more",
    "coordinator/disk-full": "the operator has to free disk space; then resume the upload with the same "
    "command: what was acknowledged is kept",
    "coordinator/job-not-running": "wait if it is starting (`concordat job show`); if it is over, start "
    "another job, to which every party sends its dataset anew",
    "coordinator/job-waiting": "see what is missing: `concordat job show`; each witness that is: "
    "`concordat job witness`. Then give the command again",
    "coordinator/job-not-waiting": "if it is starting, give the command again in a minute; else there is "
    "nothing to witness now: `concordat job show`",
    "coordinator/run-not-released": "wait if it is running; a run that was refused or lost has no result",
    "coordinator/out-of-order": _CONTINUES,
    "coordinator/stream-idle": _CONTINUES,
    "coordinator/enclave-unreachable": "try again in a minute; is it still there? `concordat job show`",
    "coordinator/enclave-answer": _OTHER_RELEASES,
    "coordinator/errands-not-run": "ask the coordinator's operator to let enclaves ask for keys "
    "(--kms-endpoints)",
    "coordinator/kms-endpoint": "ask the coordinator's operator to allow the endpoint that the agreement "
    "names (--kms-endpoints)",
    "coordinator/kms-unreachable": "it is tried again; can the coordinator reach the endpoint that the "
    "agreement names?",
    "coordinator/errand-too-long": "the enclave got no answer that it understands; is it a key service that "
    "answers at the endpoint which the agreement names?",
    "coordinator/credentials": "does the role that the agreement names trust the coordinator, for this "
    "agreement? See what `concordat kms plan` writes about it, and ask the coordinator's operator",
    "coordinator/error": "ask the coordinator's operator, whose log says more",
    "coordinator/state": "ask the coordinator's operator, whose log says more",
    "format/malformed": _OTHER_RELEASES,
    "format/limit-exceeded": _OTHER_RELEASES,
}
NEXT_STEPS: Final[dict[str, str]] = {**_OF_THE_ENCLAVE, **_OF_THE_COORDINATOR}


def next_step(refusal: str) -> str:
    """What a person can do about a refusal with this code, whoever sent it."""
    return NEXT_STEPS.get(refusal, f"this client does not know such a refusal; {_OTHER_RELEASES}")


def first_line(said: str) -> str:
    """As much as anybody needs of what a coordinator says."""
    return said.partition("\n")[0][:LINE_MAX_CHARACTERS]


def next_step_for_words(said: str) -> str | None:
    """The same for a sentence in which an enclave's code stands as a word; None when there is none."""
    words = (word.strip(".,:;()") for word in said.split())
    return next((_OF_THE_ENCLAVE[word] for word in words if word in _OF_THE_ENCLAVE), None)
