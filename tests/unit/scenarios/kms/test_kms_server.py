"""The port is open to anybody: silence, floods and nonsense cost the server nothing."""

from __future__ import annotations

import json
import socket
import ssl
from contextlib import ExitStack, closing
from http.client import HTTPResponse, HTTPSConnection

import pytest

from scenarios.kms.server import CONNECTIONS_MAX
from scenarios.kms.service import BODY_MAX_BYTES
from tests.kms_world import ROOT_USER, KmsWorld

WAIT_S = 10


def host_and_port(world: KmsWorld) -> tuple[str, int]:
    host, _, port = world.endpoint.removeprefix("https://").partition(":")
    return host, int(port)


def connection(world: KmsWorld) -> HTTPSConnection:
    context = ssl.create_default_context(cafile=str(world.store.authority_path))
    return HTTPSConnection(*host_and_port(world), context=context, timeout=WAIT_S)


def posted(world: KmsWorld, headers: dict[str, str], body: bytes = b"") -> HTTPResponse:
    with closing(connection(world)) as found:
        found.putrequest("POST", "/")
        for name, value in headers.items():
            found.putheader(name, value)
        found.endheaders(body)
        answer = found.getresponse()
        answer.read()
        return answer


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 411),
        ({"Content-Length": "-1"}, 411),
        ({"Content-Length": "x"}, 411),
        ({"Content-Length": "2", "Transfer-Encoding": "chunked"}, 411),
        ({"Content-Length": str(BODY_MAX_BYTES + 1)}, 413),
        ({"Content-Length": "9" * 30}, 413),
    ],
)
def test_a_body_without_a_bound_ends_the_connection(
    world: KmsWorld, headers: dict[str, str], status: int
) -> None:
    answer = posted(world, headers)
    assert (answer.status, answer.will_close) == (status, True)


def test_a_stranger_learns_nothing_but_that_it_is_one(world: KmsWorld) -> None:
    with closing(connection(world)) as found:
        for target in ("TrentService.ListKeys", "TrentService.Unknown", "Unknown", ""):
            found.request("POST", "/", body=b"{}", headers={"X-Amz-Target": target})
            answer = found.getresponse()
            said = json.loads(answer.read())
            assert answer.status == 400
            assert said["__type"] in ("MissingAuthenticationTokenException", "UnknownOperationException")
            assert answer.headers["x-amzn-ErrorType"] == said["__type"]


def test_silent_peers_and_peers_without_tls_hold_up_nobody(world: KmsWorld) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(host_and_port(world))) for _ in range(20)]
        for each in silent[:10]:
            each.sendall(b"POST / HTTP/1.1\r\n\r\n")
        assert world.client(ROOT_USER).list_keys()["Truncated"] is False


def test_one_connection_too_many_is_closed(world: KmsWorld) -> None:
    with ExitStack() as stack:
        peers = [
            stack.enter_context(socket.create_connection(host_and_port(world), timeout=WAIT_S))
            for _ in range(CONNECTIONS_MAX + 1)
        ]
        assert peers[-1].recv(1) == b""
    assert world.client(ROOT_USER).list_keys()["Truncated"] is False


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"KeyId": "a", "KeyId": "b"}', b'{"NumberOfBytes": 1.5}']
)
def test_a_signed_body_that_is_no_object(world: KmsWorld, body: bytes) -> None:
    status, found = world.post(world.credential(ROOT_USER), "GenerateRandom", body)
    assert (status, found["__type"]) == (400, "SerializationException")


@pytest.mark.parametrize(
    "body", [{"KeyId": 1}, {"KeyId": None}, {"KeyId": ""}, {"KeyId": "x", "More": 1}, {}]
)
def test_a_signed_body_with_other_members(world: KmsWorld, body: object) -> None:
    status, found = world.post(world.credential(ROOT_USER), "DescribeKey", body)
    assert (status, found["__type"]) == (400, "ValidationException")
