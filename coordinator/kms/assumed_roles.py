"""Takes parties' roles on with AWS STS, as itself, for one agreement and party at a time.

The coordinator's own credentials are botocore's business: an instance's role, or what the environment says.
A role is asked for with the agreement's digest as external id, so a party's trust policy decides for which
agreement, and with a session policy, so that less comes back than the role can do. Answers are STS's, over
TLS; what is not of the form that AWS has is refused. Followed: STS API Reference, "AssumeRole"; docs/kms.md.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from coordinator.errors import CredentialsError
from coordinator.kms.credentials import REGION, ROLE_ARN, Credentials
from coordinator.kms.session_policy import session_policy
from protos.formats.errors import FormatError
from protos.formats.identifiers import DIGEST_BYTES, require_slug

DURATION_S: Final = 900
"""The least that STS gives: an errand takes seconds."""
REFRESH_BEFORE: Final = timedelta(minutes=5)
TIMEOUT_S: Final = 10
_KEPT_MAX: Final = 256
_SESSION_NAME: Final = "concordat-{}"
_HINT: Final = (
    "the role's trust policy has to name this coordinator with the agreement's digest as external id "
    "(`concordat kms plan`), and the coordinator's own role has to allow sts:AssumeRole"
)
_Asked = tuple[str, str, bytes, str]


@dataclass(frozen=True)
class StsPlaces:
    """Where STS is, when it is not AWS's at its usual address."""

    by_account: Mapping[str, str] = field(default_factory=dict)
    """URLs by the account of the role: every SIMULATED KMS is the STS of its own account."""
    of_all: str | None = None
    """URL for every other account; None: AWS's of the region."""
    authority: Path | None = None
    """Certificate authorities of these (PEM); None: those that botocore trusts."""

    def endpoint(self, account: str) -> str | None:
        """The URL at which roles of `account` are asked for."""
        return self.by_account.get(account, self.of_all)


class AssumedRoles:
    """A `CredentialSource`. Keeps what it was given until shortly before it ends."""

    def __init__(
        self, places: StsPlaces | None = None, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """Raises `CredentialsError` where botocore is missing."""
        self.places = places or StsPlaces()
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[_Asked, Credentials] = OrderedDict()
        self._clients: dict[tuple[str, str | None], Any] = {}
        self._session = _botocore_session()

    def get(self, role: str, region: str, agreement_digest: bytes, party: str) -> Credentials:
        """See `CredentialSource`."""
        account = _require_asked(role, region, agreement_digest, party)
        asked = (role, region, agreement_digest, party)
        now = self._clock()
        with self._lock:
            kept = self._kept.get(asked)
            if kept is not None and kept.is_valid_for(REFRESH_BEFORE, now=now):
                return kept
            endpoint = self.places.endpoint(account)
            client = self._client(region, endpoint)
        policy = session_policy(
            account=account, region=region, agreement_digest=agreement_digest, party=party
        )
        try:
            found = _assume(client, role, agreement_digest, policy)
        except CredentialsError:
            with self._lock:  # a client without credentials of its own would never look for them again
                self._clients.pop((region, endpoint), None)
            raise
        if not found.is_valid_for(REFRESH_BEFORE, now=now):
            raise CredentialsError(
                f"{role}: STS gave credentials that end within {REFRESH_BEFORE}",
                hint="check this computer's clock",
            )
        with self._lock:
            self._kept[asked] = found
            self._kept.move_to_end(asked)
            while len(self._kept) > _KEPT_MAX:
                self._kept.popitem(last=False)
        return found

    def _client(self, region: str, endpoint: str | None) -> Any:
        """One for each region and place; making one is slow, and not for two threads at once."""
        from botocore.config import Config  # noqa: PLC0415 - an extra, and slow to import

        if (region, endpoint) not in self._clients:
            authority = self.places.authority if endpoint else None
            self._clients[region, endpoint] = self._session.create_client(
                "sts",
                region_name=region,
                endpoint_url=endpoint,
                verify=str(authority) if authority else None,
                config=Config(
                    connect_timeout=TIMEOUT_S,
                    read_timeout=TIMEOUT_S,
                    retries={"mode": "standard", "total_max_attempts": 2},
                ),
            )
        return self._clients[region, endpoint]


def _require_asked(role: str, region: str, agreement_digest: bytes, party: str) -> str:
    """The role's account, where everything is of its form."""
    match = ROLE_ARN.fullmatch(role)
    if match is None:
        raise CredentialsError(f"role: got {role[:120]!r}, expected the ARN of a role")
    if not REGION.fullmatch(region):
        raise CredentialsError(f"region: got {region[:40]!r}, expected one like 'eu-central-1'")
    try:
        require_slug(party, what="party")
    except FormatError as error:
        raise CredentialsError(error.message) from error
    if len(agreement_digest) != DIGEST_BYTES:
        raise CredentialsError(f"digest: got {len(agreement_digest)} bytes, expected {DIGEST_BYTES}")
    return match["account"]


def _assume(client: Any, role: str, agreement_digest: bytes, policy: str) -> Credentials:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        answer = client.assume_role(
            RoleArn=role,
            RoleSessionName=_SESSION_NAME.format(agreement_digest.hex()[:16]),
            ExternalId=agreement_digest.hex(),
            Policy=policy,
            DurationSeconds=DURATION_S,
        )
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))[:64]
        raise CredentialsError(f"{role}: STS refused the role ({code!r})", hint=_HINT) from None
    except BotoCoreError as error:
        raise CredentialsError(
            f"{role}: STS was not reached, or has nothing to sign with ({type(error).__name__})", hint=_HINT
        ) from None
    try:
        given = answer["Credentials"]
        return Credentials(
            given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], given["Expiration"]
        )
    except (KeyError, TypeError):
        raise CredentialsError(f"{role}: STS answered without credentials") from None


def _botocore_session() -> Any:
    try:
        from botocore.session import Session  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise CredentialsError(
            "taking roles on needs the kms extra (botocore is not installed)",
            hint="pip install 'concordat[coordinator,kms]'",
        ) from error
    # In its debug messages botocore writes whole answers, which is where the secrets are.
    logging.getLogger("botocore").setLevel(logging.WARNING)
    return Session()
