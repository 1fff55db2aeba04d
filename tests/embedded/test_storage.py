"""A new data folder gets an identity that Kafka accepts."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from embedded import storage

if TYPE_CHECKING:
    import pytest


def test_an_id_never_begins_with_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [uuid.UUID(int=0), uuid.UUID(bytes=b"\xf8" + bytes(15))]
    monkeypatch.setattr(uuid, "uuid4", ids.pop)
    assert storage.new_cluster_id() == "A" * 22
    assert ids == []
