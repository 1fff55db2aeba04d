"""Filled layers, in the plain or the compiled form."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tables.layers import Layer, LayerBackend, Value


def layer_of(form: LayerBackend, changes: Iterable[tuple[bytes, Value]]) -> Layer:
    """Return a layer after ``changes`` were made in order."""
    layer = form.layer()
    for key, value in changes:
        layer[key] = value
    return layer
