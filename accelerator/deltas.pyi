from typing import Any

from models.delta_chunk import DeltaChunk as DeltaChunk
from models.deltas import Gathered as Gathered
from models.pane_windows import PaneWindows

class Counters:
    windows: PaneWindows[Any]

    def __init__(self, windows: PaneWindows[Any]) -> None: ...
