from collections.abc import Iterable, Sequence
from typing import Any, Self

from accelerator.layer import Layer
from accelerator.lookup import LookupResult
from models import pane_windows
from models.entity import Entity
from models.video import Verdict
from models.viral import ViralRule

class PaneWindows:
    windows: pane_windows.PaneWindows[Any]

    def __init__(self, windows: pane_windows.PaneWindows[Any]) -> None: ...
    def in_units(self, unit_ms: int) -> Self: ...

class VideoWindows(PaneWindows):
    def judge(self, values: LookupResult, t_ms: int, rule: ViralRule) -> list[Verdict]: ...

class DeltaChunk:
    latest: int
    complete_from: int
    keys: Sequence[bytes]

    def __init__(self, values: Iterable[bytes | None], of: Entity[Any] = ...) -> None: ...
    def apply(
        self,
        windows: PaneWindows,
        loaded: LookupResult,
        dirty: Layer,
        now: int,
        rule: ViralRule | None = None,
    ) -> set[int]: ...

class DeltaAccumulator:
    def __init__(self, of: Entity[Any] = ...) -> None: ...
    def __len__(self) -> int: ...
    def add(self, key: int, pane: int, increments: tuple[int, ...]) -> None: ...
    def records(
        self, source_partition: int, stream_time_ms: int, partitions: int, *, heartbeat: bool
    ) -> list[tuple[int, bytes]]: ...
