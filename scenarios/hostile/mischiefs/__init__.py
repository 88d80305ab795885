"""Every treachery that is tried, in the order in which it is tried."""

from __future__ import annotations

from typing import Final

from scenarios.hostile.mischief import Mischief
from scenarios.hostile.mischiefs import agreements, datasets, enclaves, results, runs

ALL: Final[tuple[Mischief, ...]] = (
    agreements.AnotherAgreementShown(),
    agreements.SignatureNobodyGave(),
    agreements.SignatureLeftOut(),
    agreements.MemberAdded(),
    enclaves.KeysSwapped(),
    enclaves.OldDocument(),
    enclaves.OwnRoot(),
    enclaves.DebugMode(),
    enclaves.ChangedCode(),
    enclaves.AnotherAgreementOnTheGenuineImage(),
    datasets.DatasetOfItsOwn(),
    datasets.DatasetOfAnEarlierJob(),
    datasets.ChunkDropped(),
    datasets.ChunkSwallowed(),
    datasets.ChunksSwapped(),
    datasets.ChunkTwice(),
    datasets.DatasetCutShort(),
    datasets.CutSaidToBeTheEnd(),
    datasets.ChunkOfAnEarlierJob(),
    datasets.AcceptanceForged(),
    datasets.AcceptanceOfAnEarlierJob(),
    runs.RequestForged(),
    runs.ParameterChanged(),
    runs.RequestOfAnEarlierJob(),
    results.ResultOfAnEarlierRun(),
    results.ReceiptOfAnEarlierRun(),
    results.ReceiptAltered(),
    results.TableMadeUp(),
    results.ResultOfSomebodyElse(),
    results.ResultRelabelled(),
)
