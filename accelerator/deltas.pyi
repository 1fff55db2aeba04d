from collections.abc import Iterable, Sequence
from typing import Any

from accelerator.found import Found
from accelerator.layer import Layer
from models.entity import Entity
from models.pane_windows import PaneWindows
from models.video import Verdict
from models.viral import ViralRule

class Counters:
    windows: PaneWindows[Any]

    def __init__(self, windows: PaneWindows[Any]) -> None: ...
    def in_units(self, unit_ms: int) -> Counters: ...
    def judge(self, values: Found, t_ms: int, rule: ViralRule) -> list[Verdict]: ...

class DeltaChunk:
    latest: int
    complete_from: int
    keys: Sequence[bytes]

    def __init__(self, values: Iterable[bytes | None], of: Entity[Any] = ...) -> None: ...
    def apply(
        self,
        windows: Counters,
        loaded: Found,
        dirty: Layer,
        now: int,
        rule: ViralRule | None = None,
    ) -> set[int]: ...

class Gathered:
    def __init__(self, of: Entity[Any] = ...) -> None: ...
    def __len__(self) -> int: ...
    def add(self, key: int, pane: int, increments: tuple[int, ...]) -> None: ...
    def records(
        self, source_partition: int, stream_time_ms: int, partitions: int, *, tick: bool
    ) -> list[tuple[int, bytes]]: ...
