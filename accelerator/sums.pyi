from collections.abc import Sequence
from typing import Any

from accelerator.lookup import LookupResult
from models import sums
from models.pane_windows import PaneWindows
from models.user import UserWindows

class Sums:
    plain: sums.Sums

    def in_units(self, unit_ms: int) -> Sums: ...
    def of(
        self, values: LookupResult, stream_time: int, windows: tuple[sums.Panes, ...]
    ) -> sums.Totals: ...

def user_sums(windows: UserWindows) -> Sums: ...
def pane_sums(windows: PaneWindows[Any]) -> Sums: ...
def by_partition(ids: Sequence[int], partitions: int) -> dict[int, list[int]]: ...
