"""An unmodified botocore client speaks to the SIMULATED KMS, over TLS, with every operation that there is."""

from __future__ import annotations

import ssl
import urllib.request
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import SSLError
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key

from scenarios.kms.operations.table import OPERATIONS
from tests.kms_world import (
    ADMINISTRATOR,
    CONTEXT,
    ENCLAVE_ROLE,
    ROOT_USER,
    SOUND,
    KmsWorld,
    policy,
    refused,
    spki_of,
    statement,
)


@pytest.fixture(scope="module")
def root_user(world: KmsWorld) -> Any:
    return world.client(ROOT_USER)


def test_every_operation_is_one_of_aws() -> None:
    model = botocore.session.Session().get_service_model("kms")
    assert set(OPERATIONS) <= set(model.operation_names)


def test_what_a_key_is(world: KmsWorld, root_user: Any) -> None:
    made = root_user.create_key(Description="for the test")["KeyMetadata"]
    assert root_user.describe_key(KeyId=made["Arn"])["KeyMetadata"] == made
    assert (made["KeySpec"], made["KeyUsage"], made["Origin"], made["MultiRegion"]) == (
        "SYMMETRIC_DEFAULT",
        "ENCRYPT_DECRYPT",
        "AWS_KMS",
        False,
    )
    assert made["Arn"] == f"arn:aws:kms:us-east-1:111122223333:key/{made['KeyId']}"
    assert {"KeyId": made["KeyId"], "KeyArn": made["Arn"]} in root_user.list_keys()["Keys"]
    assert root_user.get_key_rotation_status(KeyId=made["KeyId"])["KeyRotationEnabled"] is False
    with refused("NotFoundException"):
        root_user.describe_key(KeyId="00000000-0000-0000-0000-000000000000")
    with refused("NotFoundException"):
        root_user.describe_key(KeyId="../credentials/AKIAAAAAAAAAAAAAAAAA")
    with refused("UnsupportedOperationException"):
        root_user.create_key(Origin="EXTERNAL")
    with refused("UnsupportedOperationException"):
        root_user.create_key(MultiRegion=True)
    with refused("UnsupportedOperationException"):
        root_user.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")


def test_a_policy_is_kept_as_it_was_put(world: KmsWorld, root_user: Any) -> None:
    arn = world.key()
    assert "Enable IAM User Permissions" in root_user.get_key_policy(KeyId=arn)["Policy"]
    with refused("MalformedPolicyDocumentException") as messages:
        root_user.put_key_policy(KeyId=arn, PolicyName="default", Policy=SOUND)
    assert "will not allow you to update the key policy" in messages[0]
    root_user.put_key_policy(KeyId=arn, Policy=SOUND, BypassPolicyLockoutSafetyCheck=True)
    administrator = world.client(ADMINISTRATOR)
    assert administrator.get_key_policy(KeyId=arn)["Policy"] == SOUND
    assert administrator.list_key_policies(KeyId=arn)["PolicyNames"] == ["default"]
    with refused("MalformedPolicyDocumentException") as messages:
        administrator.put_key_policy(KeyId=arn, Policy=SOUND.replace("PCR16", "PCR77"))
    assert "'kms:RecipientAttestation:PCR77' is unknown here" in messages[0]
    assert administrator.get_key_policy(KeyId=arn)["Policy"] == SOUND


def test_encrypted_and_decrypted(world: KmsWorld, root_user: Any) -> None:
    arn = world.key()
    sealed = root_user.encrypt(KeyId=arn, Plaintext=b"secret", EncryptionContext=CONTEXT)
    assert sealed["KeyId"] == arn
    opened = root_user.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=CONTEXT)
    assert (opened["Plaintext"], opened["KeyId"]) == (b"secret", arn)
    assert opened["EncryptionAlgorithm"] == "SYMMETRIC_DEFAULT"
    assert "CiphertextForRecipient" not in opened


def test_a_blob_belongs_to_its_key_and_its_context(world: KmsWorld, root_user: Any) -> None:
    arn, other = world.key(), world.key()
    blob = root_user.encrypt(KeyId=arn, Plaintext=b"secret", EncryptionContext=CONTEXT)["CiphertextBlob"]
    for context in ({}, {**CONTEXT, "party": "bank"}, {**CONTEXT, "more": "x"}):
        with refused("InvalidCiphertextException"):
            root_user.decrypt(CiphertextBlob=blob, EncryptionContext=context)
    with refused("IncorrectKeyException"):
        root_user.decrypt(CiphertextBlob=blob, EncryptionContext=CONTEXT, KeyId=other)
    for at in (0, 1, 17, 40, len(blob) - 1):
        altered = bytearray(blob)
        altered[at] ^= 1
        with refused("InvalidCiphertextException"):
            root_user.decrypt(CiphertextBlob=bytes(altered), EncryptionContext=CONTEXT)
    own_name = bytes([1]) + bytes.fromhex(other.rsplit("/", 1)[1].replace("-", ""))
    with refused("InvalidCiphertextException"):
        root_user.decrypt(CiphertextBlob=own_name + blob[17:], EncryptionContext=CONTEXT, KeyId=other)


@pytest.mark.parametrize(
    ("asked", "length_bytes"), [({"KeySpec": "AES_256"}, 32), ({"NumberOfBytes": 64}, 64)]
)
def test_a_data_key(world: KmsWorld, root_user: Any, asked: dict[str, Any], length_bytes: int) -> None:
    arn = world.key()
    made = root_user.generate_data_key(KeyId=arn, EncryptionContext=CONTEXT, **asked)
    assert len(made["Plaintext"]) == length_bytes
    opened = root_user.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext=CONTEXT)
    assert opened["Plaintext"] == made["Plaintext"]
    blind = root_user.generate_data_key_without_plaintext(KeyId=arn, **asked)
    assert "Plaintext" not in blind
    assert len(root_user.decrypt(CiphertextBlob=blind["CiphertextBlob"])["Plaintext"]) == length_bytes


@pytest.mark.parametrize("spec", ["RSA_2048", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521"])
def test_a_data_key_pair(world: KmsWorld, root_user: Any, spec: str) -> None:
    made = root_user.generate_data_key_pair(KeyId=world.key(), KeyPairSpec=spec, EncryptionContext=CONTEXT)
    private = load_der_private_key(made["PrivateKeyPlaintext"], password=None)
    assert spki_of(private) == made["PublicKey"]
    opened = root_user.decrypt(CiphertextBlob=made["PrivateKeyCiphertextBlob"], EncryptionContext=CONTEXT)
    assert opened["Plaintext"] == made["PrivateKeyPlaintext"]
    blind = root_user.generate_data_key_pair_without_plaintext(KeyId=made["KeyId"], KeyPairSpec=spec)
    assert "PrivateKeyPlaintext" not in blind


def test_random_bytes(root_user: Any) -> None:
    found = {root_user.generate_random(NumberOfBytes=32)["Plaintext"] for _ in range(3)}
    assert {len(each) for each in found} == {32}
    assert len(found) == 3


@pytest.mark.parametrize(
    ("spec", "curve"), [("ECC_NIST_P256", ec.SECP256R1()), ("ECC_NIST_P384", ec.SECP384R1())]
)
def test_a_shared_secret(world: KmsWorld, root_user: Any, spec: str, curve: ec.EllipticCurve) -> None:
    arn = world.key(KeySpec=spec, KeyUsage="KEY_AGREEMENT")
    own = ec.generate_private_key(curve)
    found = root_user.derive_shared_secret(KeyId=arn, KeyAgreementAlgorithm="ECDH", PublicKey=spki_of(own))
    public = load_der_public_key(root_user.get_public_key(KeyId=arn)["PublicKey"])
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert found["SharedSecret"] == own.exchange(ec.ECDH(), public)
    stranger = spki_of(ec.generate_private_key(ec.SECP521R1()))
    with refused("ValidationException"):
        root_user.derive_shared_secret(KeyId=arn, KeyAgreementAlgorithm="ECDH", PublicKey=stranger)
    with refused("InvalidKeyUsageException"):
        root_user.encrypt(KeyId=arn, Plaintext=b"x")
    with refused("InvalidKeyUsageException"):
        root_user.get_public_key(KeyId=world.key())


def test_an_alias_names_a_key(world: KmsWorld, root_user: Any) -> None:
    arn = world.key()
    root_user.create_alias(AliasName="alias/data", TargetKeyId=arn)
    assert root_user.describe_key(KeyId="alias/data")["KeyMetadata"]["Arn"] == arn
    listed = root_user.list_aliases(KeyId=arn)["Aliases"]
    assert [alias["AliasName"] for alias in listed] == ["alias/data"]
    assert root_user.encrypt(KeyId=listed[0]["AliasArn"], Plaintext=b"x")["KeyId"] == arn
    with refused("AlreadyExistsException"):
        root_user.create_alias(AliasName="alias/data", TargetKeyId=world.key())


def test_a_disabled_key_does_nothing(world: KmsWorld, root_user: Any) -> None:
    arn = world.key()
    blob = root_user.encrypt(KeyId=arn, Plaintext=b"x")["CiphertextBlob"]
    root_user.disable_key(KeyId=arn)
    assert root_user.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"] == "Disabled"
    with refused("DisabledException"):
        root_user.decrypt(CiphertextBlob=blob)
    with refused("DisabledException"):
        root_user.generate_data_key(KeyId=arn, KeySpec="AES_256")
    root_user.enable_key(KeyId=arn)
    assert root_user.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


def test_a_grant_from_its_making_to_its_end(world: KmsWorld) -> None:
    arn = world.key(SOUND)
    administrator, grantee = world.client(ADMINISTRATOR), world.client("arn:aws:iam::111122223333:user/ann")
    subset = {"EncryptionContextSubset": {"party": "shop"}}
    with refused("AccessDeniedException"):
        grantee.encrypt(KeyId=arn, Plaintext=b"x", EncryptionContext=CONTEXT)
    made = administrator.create_grant(
        KeyId=arn,
        GranteePrincipal="arn:aws:iam::111122223333:user/ann",
        Operations=["Encrypt", "Decrypt", "RetireGrant"],
        Constraints=subset,
        Name="for ann",
    )
    (listed,) = administrator.list_grants(KeyId=arn)["Grants"]
    assert (listed["GrantId"], listed["Constraints"], listed["Name"]) == (made["GrantId"], subset, "for ann")
    blob = grantee.encrypt(KeyId=arn, Plaintext=b"x", EncryptionContext=CONTEXT)["CiphertextBlob"]
    with refused("AccessDeniedException"):
        grantee.encrypt(KeyId=arn, Plaintext=b"x", EncryptionContext={"party": "bank"})
    with refused(
        "AccessDeniedException"
    ) as messages:  # the grant would let it through; the policy's deny wins
        grantee.decrypt(CiphertextBlob=blob, EncryptionContext=CONTEXT)
    assert "explicit deny in the key policy" in messages[0]
    with refused("InvalidGrantIdException"):
        administrator.revoke_grant(KeyId=arn, GrantId="0" * 64)
    with refused("InvalidGrantTokenException"):
        grantee.retire_grant(GrantToken="unknown")
    with refused("AccessDeniedException"):
        world.client(ENCLAVE_ROLE).retire_grant(GrantToken=made["GrantToken"])
    grantee.retire_grant(GrantToken=made["GrantToken"])
    assert administrator.list_grants(KeyId=arn)["Grants"] == []
    with refused("AccessDeniedException"):
        grantee.encrypt(KeyId=arn, Plaintext=b"x", EncryptionContext=CONTEXT)


def test_a_grant_goes_around_the_conditions_of_an_allow(world: KmsWorld) -> None:
    """Why a sound policy denies as well: a grant knows no attestation."""
    only_allows = policy(*[each for each in _statements(SOUND) if each["Effect"] == "Allow"])
    arn = world.key(only_allows)
    administrator, enclave = world.client(ADMINISTRATOR), world.client(ENCLAVE_ROLE)
    blob = administrator.encrypt(KeyId=arn, Plaintext=b"x", EncryptionContext=CONTEXT)["CiphertextBlob"]
    with refused("AccessDeniedException"):
        enclave.decrypt(CiphertextBlob=blob, EncryptionContext=CONTEXT)
    made = administrator.create_grant(KeyId=arn, GranteePrincipal=ENCLAVE_ROLE, Operations=["Decrypt"])
    assert enclave.decrypt(CiphertextBlob=blob, EncryptionContext=CONTEXT)["Plaintext"] == b"x"
    administrator.revoke_grant(KeyId=arn, GrantId=made["GrantId"])
    with refused("AccessDeniedException"):
        enclave.decrypt(CiphertextBlob=blob, EncryptionContext=CONTEXT)


def test_a_dry_run_changes_nothing(world: KmsWorld, root_user: Any) -> None:
    arn = world.key()
    with refused("DryRunOperationException"):
        root_user.create_grant(KeyId=arn, GranteePrincipal=ENCLAVE_ROLE, Operations=["Decrypt"], DryRun=True)
    assert root_user.list_grants(KeyId=arn)["Grants"] == []
    with refused("AccessDeniedException"):
        world.client(ENCLAVE_ROLE).encrypt(KeyId=arn, Plaintext=b"x", DryRun=True)


def test_lists_come_in_pages(world: KmsWorld, root_user: Any) -> None:
    arn = world.key()
    for _ in range(3):
        root_user.create_grant(KeyId=arn, GranteePrincipal=ENCLAVE_ROLE, Operations=["Decrypt"])
    pages = list(root_user.get_paginator("list_grants").paginate(KeyId=arn, PaginationConfig={"PageSize": 2}))
    assert [len(each["Grants"]) for each in pages] == [2, 1]
    with refused("InvalidMarkerException"):
        root_user.list_grants(KeyId=arn, Marker="9")


BAD_PARAMETERS = [
    ("generate_data_key", {"KeySpec": "AES_256", "NumberOfBytes": 32}),
    ("generate_data_key", {}),
    ("encrypt", {"Plaintext": b"x" * 4097}),
    ("encrypt", {"Plaintext": b"x", "EncryptionContext": {"a": "1", "A": "2"}}),
    ("encrypt", {"Plaintext": b"x", "EncryptionAlgorithm": "RSAES_OAEP_SHA_1"}),
    ("generate_data_key_pair", {"KeyPairSpec": "SM2"}),
    ("create_grant", {"GranteePrincipal": "ann", "Operations": ["Decrypt"]}),
    ("decrypt", {"CiphertextBlob": b"x", "DryRunModifiers": ["IGNORE_CIPHERTEXT"]}),
]


@pytest.mark.parametrize(("operation", "parameters"), BAD_PARAMETERS)
def test_a_parameter_out_of_bounds(
    world: KmsWorld, root_user: Any, operation: str, parameters: dict[str, Any]
) -> None:
    arn = world.key()
    with refused("ValidationException"):
        getattr(root_user, operation)(KeyId=arn, **parameters)


def test_what_is_not_modelled_is_refused_by_name(root_user: Any, world: KmsWorld) -> None:
    with refused("UnknownOperationException") as messages:
        root_user.get_parameters_for_import(
            KeyId=world.key(), WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048"
        )
    assert "TrentService.GetParametersForImport" in messages[0]


def test_the_log_says_who_did_what_and_has_no_plaintext(world: KmsWorld, root_user: Any) -> None:
    arn = world.key()
    blob = root_user.encrypt(KeyId=arn, Plaintext=b"a most secret value")["CiphertextBlob"]
    root_user.decrypt(CiphertextBlob=blob)
    last = world.records[-1]
    assert (last["operation"], last["caller"], last["key"], last["outcome"]) == (
        "Decrypt",
        ROOT_USER,
        arn,
        "ok",
    )
    assert "Enable IAM User Permissions" in last["allowed_by"]
    assert "secret value" not in str(world.records)
    assert "YSBtb3N0IHNlY3JldCB2YWx1ZQ" not in str(world.records)


def test_tls_leads_to_an_authority_of_the_servers_own(world: KmsWorld) -> None:
    stranger = world.client(ROOT_USER)
    stranger = botocore.session.Session().create_client(
        "kms",
        region_name="us-east-1",
        endpoint_url=world.endpoint,
        aws_access_key_id="AKIAAAAAAAAAAAAAAAAA",
        aws_secret_access_key="x",
    )
    with pytest.raises(SSLError):
        stranger.list_keys()
    context = ssl.create_default_context(cafile=str(world.store.authority_path))
    with (
        pytest.raises(urllib.error.HTTPError, match="Unsupported method"),
        urllib.request.urlopen(world.endpoint, context=context),  # noqa: S310 - its scheme is https
    ):
        pass


def _statements(text: str) -> list[dict[str, Any]]:
    import json

    found: list[dict[str, Any]] = json.loads(text)["Statement"]
    return found


def test_a_statement_about_nobody_allows_nobody(world: KmsWorld) -> None:
    arn = world.key(policy(statement("Service", "Allow", {"Service": "ec2.amazonaws.com"}, "kms:*")))
    with refused("AccessDeniedException"):
        world.client(ENCLAVE_ROLE).describe_key(KeyId=arn)
