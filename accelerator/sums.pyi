from collections.abc import Sequence

from accelerator.found import Found
from models import sums
from models.user import UserWindows
from models.video import VideoWindows

class Sums:
    plain: sums.Sums

    def of(
        self, values: Found, stream_time: int, windows: tuple[sums.Panes, ...]
    ) -> list[tuple[int, ...] | None]: ...

def user_sums(windows: UserWindows) -> Sums: ...
def video_sums(windows: VideoWindows) -> Sums: ...
def partitions_of(ids: Sequence[int], partitions: int) -> list[int]: ...
