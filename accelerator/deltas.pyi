from models.delta_chunk import DeltaChunk as DeltaChunk
from models.deltas import Gathered as Gathered
from models.video import VideoWindows

class Counters:
    windows: VideoWindows

    def __init__(self, windows: VideoWindows) -> None: ...
