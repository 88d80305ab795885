"""The metadata section: JSON about how an image was built, which no PCR covers and nobody should believe.

Version 4 wants the section, and AWS's tools refuse a file whose metadata lacks one of the fields below.
`encode` writes one object in one way, so that the same image is the same bytes; `parse_metadata_untrusted`
reads anybody's and guarantees that AWS's tools can read it too. EIF specification, "EifSectionMetadata".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from enclave_compute.image.eif.errors import ContentError, ImageFileError

_TEXTS: Final = ("ImageName", "ImageVersion")
_BUILD: Final = "BuildMetadata"
_BUILD_TEXTS: Final = ("BuildTime", "BuildTool", "BuildToolVersion", "OperatingSystem", "KernelVersion")
_ANYTHING: Final = ("DockerInfo", "CustomMetadata")


def metadata_of(
    *,
    name: str,
    version: str,
    build_time: str,
    build_tool: str,
    build_tool_version: str,
    operating_system: str,
    kernel_version: str,
    custom: Any = None,
) -> dict[str, Any]:
    """The object with all fields. `build_time` is what the caller fixes, for the same bytes every time."""
    return {
        "ImageName": name,
        "ImageVersion": version,
        _BUILD: {
            "BuildTime": build_time,
            "BuildTool": build_tool,
            "BuildToolVersion": build_tool_version,
            "OperatingSystem": operating_system,
            "KernelVersion": kernel_version,
        },
        "DockerInfo": None,
        "CustomMetadata": custom,
    }


def encode(metadata: Mapping[str, Any]) -> bytes:
    """Compact JSON with sorted keys, in ASCII. Raises `ContentError`."""
    try:
        text = json.dumps(dict(metadata), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        parse_metadata_untrusted(text.encode("ascii"))
    except (TypeError, ValueError, RecursionError) as error:
        raise ContentError(f"metadata: not JSON ({error})", hint="use texts, numbers, lists, maps") from error
    except ImageFileError as error:
        raise ContentError(error.message, hint="start from metadata_of, which has every field") from error
    return text.encode("ascii")


def parse_metadata_untrusted(data: bytes) -> dict[str, Any]:
    """The object in the section, whose size was bounded when it was read. Raises `ImageFileError`."""
    try:
        value = json.loads(data.decode(), object_pairs_hook=_object, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ImageFileError(f"metadata: not JSON in UTF-8 ({type(error).__name__})") from error
    _require_fields(value, texts=_TEXTS, others=(_BUILD, *_ANYTHING), what="metadata")
    _require_fields(value[_BUILD], texts=_BUILD_TEXTS, others=(), what=f"metadata, {_BUILD}")
    return dict(value)


def _require_fields(value: Any, *, texts: tuple[str, ...], others: tuple[str, ...], what: str) -> None:
    if not isinstance(value, dict):
        raise ImageFileError(f"{what}: got {type(value).__name__}, expected an object")
    missing = [key for key in (*texts, *others) if key not in value]
    if missing:
        raise ImageFileError(f"{what}: {', '.join(missing)} missing, which AWS's tools demand")
    wrong = [key for key in texts if not isinstance(value[key], str)]
    if wrong:
        raise ImageFileError(f"{what}: got {', '.join(wrong)} as something else, expected text")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key that stands there twice")
    return found


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")
