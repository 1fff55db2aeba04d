"""A task to try."""

from __future__ import annotations

import pytest

from tests.streaming.bench import Bench


@pytest.fixture
async def bench(make_state):
    bench = Bench(make_state)
    await bench.add()
    yield bench
    await bench.close()
