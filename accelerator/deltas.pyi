from models.delta_chunk import DeltaChunk as DeltaChunk
from models.deltas import Gathered
from models.video import VideoWindows

class Counters:
    windows: VideoWindows

    def __init__(self, windows: VideoWindows) -> None: ...

def spread(
    gathered: Gathered, source_partition: int, stream_time_ms: int, partitions: int, *, tick: bool
) -> list[tuple[int, bytes]]: ...
