"""AWS's query protocol, which STS speaks: parameters as a form in the body, answers in XML.

Bodies come from anybody. What returns has every parameter once, as text; lists (`Tags.member.1.Key`) keep
their written names, which no operation here knows. Error names are those that AWS has in this protocol, where
they differ from KMS's. (AWS STS API reference, "Making query requests", "Common error types".)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from scenarios.kms.errors import ParameterError

MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
ANSWER_MEDIA_TYPE: Final = "text/xml"
VERSION: Final = "2011-06-15"
_NAMESPACE: Final = f"https://sts.amazonaws.com/doc/{VERSION}/"
_BODY_MAX_BYTES: Final = 16 * 1024
_PARAMETERS_MAX: Final = 64
_NAMES: Final[dict[str, tuple[str, int]]] = {
    "AccessDeniedException": ("AccessDenied", 403),
    "ExpiredTokenException": ("ExpiredToken", 403),
    "IncompleteSignatureException": ("IncompleteSignature", 400),
    "InvalidSignatureException": ("SignatureDoesNotMatch", 403),
    "KMSInternalException": ("InternalFailure", 500),
    "MalformedPolicyDocumentException": ("MalformedPolicyDocument", 400),
    "MissingAuthenticationTokenException": ("MissingAuthenticationToken", 403),
    "PackedPolicyTooLargeException": ("PackedPolicyTooLarge", 400),
    "UnknownOperationException": ("InvalidAction", 400),
    "UnrecognizedClientException": ("InvalidClientTokenId", 403),
    "ValidationException": ("ValidationError", 400),
}


def is_query(headers: Mapping[str, str]) -> bool:
    """Whether a request is of this protocol."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() == MEDIA_TYPE


def parse_request_untrusted(body: bytes) -> tuple[str, dict[str, str]]:
    """The operation and its parameters, each once. Raises `ParameterError`."""
    if len(body) > _BODY_MAX_BYTES:
        raise ParameterError(f"form: got {len(body)} bytes, expected at most {_BODY_MAX_BYTES}")
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_PARAMETERS_MAX,
        )
    except ValueError as error:
        raise ParameterError(
            "form: expected NAME=VALUE, joined by &, with everything else escaped"
        ) from error
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ParameterError("form: a name stands twice")
    action, version = found.pop("Action", ""), found.pop("Version", "")
    if version != VERSION:
        raise ParameterError(f"Version: got {version[:40]!r}, expected {VERSION}")
    return action, found


def render(operation: str, result: Mapping[str, Any], request_id: str) -> bytes:
    """The answer to `operation`."""
    fields = {f"{operation}Result": result, "ResponseMetadata": {"RequestId": request_id}}
    return _document(f"{operation}Response", fields)


def render_refusal(aws_name: str, message: str, request_id: str) -> tuple[int, bytes]:
    """Status and answer for what KMS calls `aws_name`."""
    name, status = _NAMES.get(aws_name, (aws_name, 400))
    error = {"Type": "Sender" if status < 500 else "Receiver", "Code": name, "Message": message}
    return status, _document("ErrorResponse", {"Error": error, "RequestId": request_id})


def _document(name: str, fields: Mapping[str, Any]) -> bytes:
    return f'<{name} xmlns="{_NAMESPACE}">{_elements(fields)}</{name}>'.encode()


def _elements(fields: Mapping[str, Any]) -> str:
    return "".join(
        f"<{name}>{_elements(value) if isinstance(value, Mapping) else _text(str(value))}</{name}>"
        for name, value in fields.items()
    )


def _text(value: str) -> str:
    """What XML can carry of it."""
    return escape("".join(each if each.isprintable() else "?" for each in value))
