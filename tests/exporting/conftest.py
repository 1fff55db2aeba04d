"""Exports are compared with the answers of a worker's views."""

from __future__ import annotations

from tests.views.conftest import make_worker, worker

__all__ = ["make_worker", "worker"]
