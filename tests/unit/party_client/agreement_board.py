"""A coordinator's board of agreements, served over real gRPC, that can be told to lie."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc

from protos.formats.identifiers import agreement_digest
from protos.v1 import concordat_pb2 as wire
from protos.v1 import concordat_pb2_grpc as stubs


class Board(stubs.CoordinatorServicer):
    """What is pinned, by digest; `shown_instead` is what everybody is shown whatever they ask for."""

    def __init__(self) -> None:
        self.agreements: dict[bytes, bytes] = {}
        self.approvals: dict[bytes, list[bytes]] = {}
        self.shown_instead: bytes | None = None
        self.callers: list[str] = []

    def PutAgreement(  # noqa: N802 - the service's name
        self, request: wire.PutAgreementRequest, context: grpc.ServicerContext
    ) -> wire.AgreementRecord:
        digest = agreement_digest(self.shown_instead or request.agreement)
        self.agreements[digest] = request.agreement
        return wire.AgreementRecord(agreement_digest=digest)

    def PutApproval(  # noqa: N802 - the service's name
        self, request: wire.PutApprovalRequest, context: grpc.ServicerContext
    ) -> wire.AgreementRecord:
        names: Any = context.auth_context().get(
            "x509_common_name", []
        )  # a list of bytes, whatever its stub says
        self.callers += [name.decode() for name in names]
        self.approvals.setdefault(request.agreement_digest, []).append(request.approval)
        return wire.AgreementRecord(agreement_digest=request.agreement_digest)

    def GetAgreement(  # noqa: N802 - the service's name
        self, request: wire.GetAgreementRequest, context: grpc.ServicerContext
    ) -> wire.AgreementRecord:
        digest = request.agreement_digest
        return wire.AgreementRecord(
            agreement_digest=digest,
            agreement=self.shown_instead or self.agreements[digest],
            approvals=self.approvals.get(digest, []),
        )

    def ListAgreements(  # noqa: N802 - the service's name
        self, request: wire.ListAgreementsRequest, context: grpc.ServicerContext
    ) -> wire.ListAgreementsResponse:
        return wire.ListAgreementsResponse(agreement_digests=list(self.agreements))


@contextlib.contextmanager
def served(board: Board, tls: Path | None = None) -> Iterator[str]:
    """Serves `board` on a free port; its address."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    stubs.add_CoordinatorServicer_to_server(board, server)  # type: ignore[no-untyped-call]
    if tls is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        pair = ((tls / "coordinator.key.pem").read_bytes(), (tls / "coordinator.pem").read_bytes())
        credentials = grpc.ssl_server_credentials(
            [pair], root_certificates=(tls / "ca.pem").read_bytes(), require_client_auth=True
        )
        port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(grace=None).wait()
