"""A SIMULATED KMS that runs, an enclave with a document for it, and unmodified botocore clients."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from party_client.attestation import TrustedRoots
from party_client.attestation.emulator import Anchors
from party_client.attestation.measurements import ZERO_PCR, extended_once
from scenarios.kms.credentials import Credential, issue
from scenarios.kms.principals import Caller
from scenarios.kms.server import KmsServer, serving
from scenarios.kms.service import KmsService
from scenarios.kms.store import KmsStore
from scenarios.machine.documents import DocumentSigner, ModuleId
from scenarios.machine.pki import Issuer, load_or_create_root, root_path

ACCOUNT = "111122223333"
ROOT_USER = f"arn:aws:iam::{ACCOUNT}:root"
ENCLAVE_ROLE = f"arn:aws:iam::{ACCOUNT}:role/enclave"
ADMINISTRATOR = f"arn:aws:iam::{ACCOUNT}:role/administrator"
OAEP = "RSAES_OAEP_SHA_256"
AGREEMENT = bytes(range(48))
IMAGE = {0: b"\x01" * 48, 1: b"\x02" * 48, 2: b"\x03" * 48}
PCRS = {**IMAGE, 3: ZERO_PCR, 16: extended_once(AGREEMENT)}
CONTEXT = {"agreement": AGREEMENT.hex(), "party": "shop", "dataset": "customers"}
_SESSION = botocore.session.Session()
_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def spki_of(key: Any) -> bytes:
    """The public key in DER, as it stands in a document."""
    spki: bytes = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return spki


def statement(sid: str, effect: str, principal: Any, action: Any, condition: Any = None) -> dict[str, Any]:
    """One statement of a key policy, for all resources."""
    found = {"Sid": sid, "Effect": effect, "Principal": principal, "Action": action, "Resource": "*"}
    return found if condition is None else {**found, "Condition": condition}


def policy(*statements: dict[str, Any]) -> str:
    """A policy of these statements."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


ADMINISTRATION = statement(
    "Administration",
    "Allow",
    {"AWS": ADMINISTRATOR},
    [
        *("kms:PutKeyPolicy", "kms:GetKeyPolicy", "kms:DescribeKey", "kms:ListGrants", "kms:CreateGrant"),
        *("kms:RevokeGrant", "kms:DisableKey", "kms:EnableKey", "kms:ListKeyPolicies"),
        *(
            "kms:CreateAlias",
            "kms:GetKeyRotationStatus",
            "kms:Encrypt",
            "kms:GenerateDataKeyWithoutPlaintext",
        ),
    ],
)
ATTESTED = {
    "StringEqualsIgnoreCase": {
        "kms:RecipientAttestation:ImageSha384": IMAGE[0].hex().upper(),
        "kms:RecipientAttestation:PCR1": IMAGE[1].hex(),
        "kms:RecipientAttestation:PCR2": IMAGE[2].hex(),
        "kms:RecipientAttestation:PCR16": PCRS[16].hex(),
    },
    "StringEquals": {f"kms:EncryptionContext:{name}": value for name, value in CONTEXT.items()},
}
SOUND = policy(
    ADMINISTRATION,
    statement("Enclave", "Allow", {"AWS": ENCLAVE_ROLE}, ["kms:Decrypt", "kms:GenerateDataKey"], ATTESTED),
    statement(
        "OtherAgreement",
        "Deny",
        "*",
        "kms:Decrypt",
        {"StringNotEqualsIgnoreCase": {"kms:RecipientAttestation:PCR16": PCRS[16].hex()}},
    ),
)


@dataclass
class KmsWorld:
    """One running server and everybody around it."""

    folder: Path
    store: KmsStore
    root: Issuer
    endpoint: str = ""
    records: list[dict[str, Any]] = field(default_factory=list)
    """The server's log."""
    ahead: timedelta = timedelta(0)
    """How far the server's clock is ahead of everybody else's."""

    def now(self) -> datetime:
        """The server's clock."""
        return datetime.now(UTC) + self.ahead

    def credential(self, arn: str, **more: Any) -> Credential:
        """A new access key; a session's for a role."""
        session = "job" if ":role/" in arn else None
        credential = issue(Caller(arn, session), **more)
        self.store.put_credential(credential)
        return credential

    def client(self, who: str | Credential, **more: Any) -> Any:
        """A botocore client of somebody, which verifies the server's certificate."""
        credential = self.credential(who, **more) if isinstance(who, str) else who
        return _SESSION.create_client(
            "kms",
            region_name=self.store.region,
            endpoint_url=self.endpoint,
            verify=str(self.store.authority_path),
            aws_access_key_id=credential.access_key_id,
            aws_secret_access_key=credential.secret_access_key,
            aws_session_token=credential.session_token,
            config=Config(retries={"total_max_attempts": 1}),
        )

    def post(self, credential: Credential, operation: str, body: Any) -> tuple[int, dict[str, Any]]:
        """Status and answer to `body`, signed, without a client that checks it first."""
        headers = {"X-Amz-Target": f"TrentService.{operation}", "Content-Type": "application/x-amz-json-1.1"}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = AWSRequest("POST", f"{self.endpoint}/", headers=headers, data=data)
        keys = (credential.access_key_id, credential.secret_access_key, credential.session_token)
        SigV4Auth(Credentials(*keys), "kms", self.store.region).add_auth(request)
        context = ssl.create_default_context(cafile=str(self.store.authority_path))
        connection = HTTPSConnection(self.endpoint.removeprefix("https://"), context=context)
        with closing(connection):
            connection.request("POST", "/", body=data, headers=dict(request.headers.items()))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def key(self, text: str | None = None, **more: Any) -> str:
        """The ARN of a new key, made by the account's root user."""
        if text is not None:
            more |= {"Policy": text, "BypassPolicyLockoutSafetyCheck": True}
        arn: str = self.client(ROOT_USER).create_key(**more)["KeyMetadata"]["Arn"]
        return arn

    def recipient(self, pcrs: dict[int, bytes] | None = None, **more: Any) -> dict[str, Any]:
        """The parameter of an enclave with these registers, whose document is made now."""
        root, clock = more.pop("root", self.root), more.pop("clock", lambda: datetime.now(UTC))
        more.setdefault("public_key", spki_of(_KEY))
        signer = DocumentSigner(root, ModuleId.random(), clock=clock)
        document = signer.sign(PCRS if pcrs is None else pcrs, **more)
        return {"AttestationDocument": document, "KeyEncryptionAlgorithm": OAEP}


def enclave_key() -> rsa.RSAPrivateKey:
    """The key that only the enclave has."""
    return _KEY


@contextmanager
def running(folder: Path, *, region: str = "us-east-1", anchors: Anchors | None = None) -> Iterator[KmsWorld]:
    """A server on a free port, until the block ends; it believes `anchors`, or the root in `folder`."""
    root = load_or_create_root(folder / "simulator")
    world = KmsWorld(folder, KmsStore(folder / "kms", account=ACCOUNT, region=region), root)
    roots = TrustedRoots.from_pem(root_path(folder / "simulator").read_bytes(), name="simulated")
    service = KmsService(
        world.store,
        roots=anchors or roots,
        clock=world.now,
        log=lambda record: world.records.append(dict(record)),
    )
    server = KmsServer(("127.0.0.1", 0), service, world.store.tls_files(world.now()))
    with serving(server):
        world.endpoint = server.endpoint
        yield world


@contextmanager
def refused(name: str) -> Iterator[list[str]]:
    """The call inside is refused under this name; its message is in the list afterwards."""
    messages: list[str] = []
    try:
        yield messages
    except ClientError as error:
        assert error.response["Error"]["Code"] == name, error
        messages.append(error.response["Error"]["Message"])
    else:
        raise AssertionError(f"not refused, expected {name}")
