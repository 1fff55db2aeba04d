from collections.abc import Iterator, Sequence
from typing import overload

from models.cut import Cut

class Record:
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]

class Records(Sequence[Record]):
    def add(self, data: bytes, start: int, end: int, first: int, cut: Cut | None) -> None: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Record]: ...
    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> Records: ...
