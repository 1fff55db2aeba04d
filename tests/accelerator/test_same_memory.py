"""Promises that compiled layers store and find changes as dicts do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelerator import layer_backend
from tests.layers import layer_of

if TYPE_CHECKING:
    from models._protocols import Layer
    from tables.layers import LayerBackend


PLAIN, COMPILED = layer_backend(accelerated=False), layer_backend(accelerated=True)
each_form = pytest.mark.parametrize("form", [PLAIN, COMPILED], ids=["plain", "compiled"])

#: Few enough keys to repeat, and enough for layers to grow.
KEYS = st.integers(0, 3).map(lambda n: b"%d" % n) | st.binary(max_size=40)
VALUES = st.none() | st.binary(max_size=20)
Changes = list[tuple[bytes, bytes | None]]
CHANGES = st.lists(st.tuples(KEYS, VALUES), max_size=200)


class Batch:
    """The writes that RocksDB received."""

    def __init__(self) -> None:
        self.rows: list[tuple[bytes, bytes | None]] = []

    def put(self, key: bytes, value: bytes) -> None:
        self.rows.append((key, value))

    def delete(self, key: bytes) -> None:
        self.rows.append((key, None))


def content(layer: Layer | dict[bytes, bytes | None]) -> tuple[object, ...]:
    """Return everything that a layer exposes."""
    return list(layer), list(layer.keys()), list(layer.items()), len(layer)


@given(CHANGES, st.lists(KEYS))
@settings(max_examples=300)
def test_a_layer_is_like_a_dict(changes: Changes, keys: list[bytes]) -> None:
    plain, compiled = (layer_of(form, changes) for form in (PLAIN, COMPILED))
    assert content(compiled) == content(plain)
    for key in [*plain, *keys]:
        assert (key in compiled) == (key in plain)
        if key in plain:
            assert compiled[key] == plain[key]
        else:
            with pytest.raises(KeyError):
                compiled[key]


@given(CHANGES, CHANGES)
def test_what_a_newer_layer_has_takes_the_place_of_the_older(
    older: Changes, newer: Changes
) -> None:
    plain, compiled = (layer_of(form, older) for form in (PLAIN, COMPILED))
    plain.update(layer_of(PLAIN, newer))
    other = layer_of(COMPILED, newer)
    compiled.update(other)
    assert content(compiled) == content(plain)
    assert content(other) == content(dict(newer))


@given(CHANGES, st.lists(CHANGES, max_size=3))
def test_a_layer_drops_the_keys_of_newer_ones(older: Changes, newer: list[Changes]) -> None:
    expected = dict(older)
    layers = [layer_of(form, older) for form in (PLAIN, COMPILED)]
    for changes in newer:
        expected = {key: value for key, value in expected.items() if key not in dict(changes)}
        for form, layer in zip((PLAIN, COMPILED), layers, strict=True):
            other = layer_of(form, changes)
            form.drop(layer, other)
            assert content(layer) == content(expected)
            assert content(other) == content(dict(changes))
            for key in (*dict(older), *dict(changes)):
                assert (key in layer) == (key in expected)
                assert layer.get(key, b"none") == expected.get(key, b"none")


@given(CHANGES, CHANGES, st.integers(0, 50))
def test_the_first_keys_of_the_newer_layer_are_not_dropped(
    older: Changes, newer: Changes, first: int
) -> None:
    dropped = [*dict(newer)][first:]
    expected = {key: value for key, value in dict(older).items() if key not in dropped}
    for form in (PLAIN, COMPILED):
        layer = layer_of(form, older)
        form.drop(layer, layer_of(form, newer), first)
        assert content(layer) == content(expected)


@given(CHANGES, CHANGES, CHANGES)
def test_a_layer_that_dropped_keys_can_get_them_again(
    older: Changes, dropped: Changes, newer: Changes
) -> None:
    expected = {key: value for key, value in dict(older).items() if key not in dict(dropped)}
    expected |= dict(newer)
    for form in (PLAIN, COMPILED):
        layer = layer_of(form, older)
        form.drop(layer, layer_of(form, dropped))
        for key, value in newer:
            layer[key] = value
        assert dict(layer.items()) == expected
        assert len(layer) == len(expected)
        assert list(form.find([layer], list(expected))) == list(expected.values())
        copy = layer_of(form, dropped)
        copy.update(layer)
        assert dict(copy.items()) == dict(dropped) | expected


@given(CHANGES, CHANGES)
def test_rows_come_in_the_order_of_their_keys(changes: Changes, dropped: Changes) -> None:
    left = {key: value for key, value in dict(changes).items() if key not in dict(dropped)}
    expected = sorted(left.items(), key=lambda row: row[0])
    for form in (PLAIN, COMPILED):
        layer = layer_of(form, changes)
        form.drop(layer, layer_of(form, dropped))
        batch, ordered = Batch(), form.in_order(layer)
        for end in range(7, len(expected) + 14, 7):
            assert ordered.put_into(batch, 7) == (end < len(expected))
            assert batch.rows == expected[:end]
        assert batch.rows == expected


def found(
    form: LayerBackend,
    layers: list[Changes],
    keys: list[bytes],
    values: dict[bytes, bytes | None],
    newer: list[Changes],
) -> tuple[set[bytes], int, list[bytes | None], list[bytes | None], int]:
    """Return the answers for keys of which some were not in memory and some have changed since."""
    found = form.find([layer_of(form, changes) for changes in layers], keys)
    missing = list(found.missing)
    found.fill([values.get(key) for key in missing])
    filled = list(found)
    found.renew([layer_of(form, changes) for changes in newer])
    return set(missing), len(missing), filled, list(found), len(found)


@given(
    st.lists(CHANGES, max_size=4),
    st.lists(KEYS, max_size=200),
    st.dictionaries(KEYS, VALUES),
    st.lists(CHANGES, max_size=3),
)
@settings(max_examples=300)
def test_the_newest_layer_that_has_a_key_tells_it(
    layers: list[Changes],
    keys: list[bytes],
    values: dict[bytes, bytes | None],
    newer: list[Changes],
) -> None:
    expected = [
        next((dict(layer)[key] for layer in layers if key in dict(layer)), values.get(key))
        for key in keys
    ]
    absent = {key for key in keys if not any(key in dict(layer) for layer in layers)}
    for form in (PLAIN, COMPILED):
        missing, count, filled, *_ = found(form, layers, keys, values, newer)
        assert (missing, count, filled) == (absent, len(absent), expected)
    assert found(PLAIN, layers, keys, values, newer) == found(COMPILED, layers, keys, values, newer)


@each_form
@pytest.mark.parametrize("count", [63, 64, 65, 5000])
def test_any_number_of_rows_is_found_again(form: LayerBackend, count: int) -> None:
    layer = layer_of(form, [(b"%d" % n, b"v%d" % n) for n in range(count)])
    keys = [b"%d" % n for n in range(count + 10)]
    values = form.find([form.layer(), layer], keys)
    assert set(values.missing) == set(keys[count:])
    values.fill([None] * 10)
    assert list(values) == [b"v%d" % n for n in range(count)] + [None] * 10


@each_form
def test_a_value_outlives_the_layers_it_was_found_in(form: LayerBackend) -> None:
    layer = layer_of(form, [(b"key", b"old")])
    values = form.find([layer], [b"key"])
    layer[b"key"] = b"new"
    del layer
    assert list(values) == [b"old"]


def test_what_is_no_bytes_is_refused() -> None:
    layer = COMPILED.layer()
    wrong: list[tuple[Any, Any]] = [("text", b""), (b"key", 1)]
    for key, value in wrong:
        with pytest.raises(TypeError):
            layer[key] = value
    with pytest.raises(TypeError):
        COMPILED.find([layer], ["text"])  # type: ignore[list-item] # on purpose
    assert len(layer) == 0


def test_there_are_as_many_values_as_keys_are_missing() -> None:
    with pytest.raises(ValueError, match="the number of missing keys"):
        COMPILED.find([], [b"key"]).fill([])
