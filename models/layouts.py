"""All layouts and constants that both forms of the hot path share, as one text.

accelerator/counters.pyx has a copy of this text, and the compiled form is refused if they differ.
So a build with other layouts and a change of only one form are noticed. After a change of a
layout, update the twins that docs/how-to/add-a-metric.md names, then copy the new text, the output
of `python -m models.layouts`, to accelerator/counters.pyx.
"""

from collections.abc import Iterator

from models import dedup, deltas, entity, pane_windows, partitioner, rows, schema, video, viral
from models.counters import ENTITIES, SUMMED


def describe_layouts() -> str:
    """Return the text: one line per fact."""
    return "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    yield f"event types: {' '.join(schema.EVENT_TYPES)}"
    yield f"event fields: {' '.join(schema.Event.__struct_fields__)}"
    yield f"metadata fields: {' '.join(schema.Metadata.__struct_fields__)}"
    yield f"longest: id {schema.MAX_ID_LENGTH}, duration {schema.MAX_DURATION_MS}"
    yield f"amounts: {' '.join(entity.AMOUNTS)}, a position of 1 is {entity.POSITION_UNITS}"
    yield f"partitioner: seed {partitioner.SEED:#x}, multiplier {partitioner.MULTIPLIER:#x}"
    yield (
        f"ids: {dedup.HEADER_SIZE} {dedup.TIME_SIZE} {dedup.ID_FORMAT}, index from {dedup.INDEXED}"
    )
    yield (
        f"sealed ids: {dedup.SEALED_FORMAT} {dedup.BLOCK_VERSION:#x} of {dedup.BLOCK_IDS}, "
        f"{dedup.INDEX_VERSION:#x} of {dedup.MAX_BLOCKS} by {dedup.ENTRY_SIZE}, "
        f"keys {dedup.block_key(b'1', 23)!r} {dedup.index_key(b'1')!r}"
    )
    yield f"blocks: {rows.BLOCK_SIZE} bytes"
    for counted in ENTITIES:
        name = counted.name
        yield f"{name}: version {counted.version}"
        for counter, kept in counted.counters.items():
            yield (
                f"{name}.{counter}: {kept.code} since {kept.since}, "
                f"{kept.amount} of each {kept.event_type}"
            )
    yield f"video header: {video.HEADER_FORMAT}"
    for counted in SUMMED:
        yield f"{counted.name} header: {pane_windows.HEADER_FORMAT}"
    yield f"deltas: {deltas.HEADER_FORMAT}, rows {deltas.ROW_FORMAT} and the entity's counters"
    yield f"flags of deltas: begins {deltas.BEGINS}"
    yield f"viral: ({' + '.join(viral.REACTIONS)}) / views"


if __name__ == "__main__":
    print(describe_layouts(), end="")  # noqa: T201 - this is its output
