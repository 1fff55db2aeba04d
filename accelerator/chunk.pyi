from collections.abc import Sequence
from typing import Generic

import numpy as np
import numpy.typing as npt

from accelerator.deltas import DeltaAccumulator
from accelerator.lookup import LookupResult
from accelerator.user import UserWindows
from models.chunk import ChunkOutcome, Overlay, R
from models.schema import Rejected

class Chunk(Generic[R]):
    sent: npt.NDArray[np.int64]
    keys: Sequence[bytes]
    misplaced: list[tuple[R, int, bytes]]
    future: list[tuple[R, int]]
    rejected: list[tuple[R, Rejected]]
    dropped: list[str]

    def __init__(
        self, records: Sequence[R], partition: int, partitions: int, latest_ms: int
    ) -> None: ...
    def indexes(
        self, windows: UserWindows, loaded: LookupResult, stream_time: int | None
    ) -> Sequence[bytes]: ...
    def apply(
        self,
        windows: UserWindows,
        rows: Overlay,
        stream_time: int | None,
        deltas: DeltaAccumulator,
        video_step: int,
        creators: DeltaAccumulator | None = None,
    ) -> ChunkOutcome[R]: ...
