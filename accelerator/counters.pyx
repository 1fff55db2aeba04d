# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""models.counters, compiled: the declarations as arrays of offsets.

LAYOUTS lists the layouts of the whole compiled form; the package compares it with models.layouts.
"""

from libc.stdint cimport uint64_t

from struct import calcsize

from models.entity import AMOUNTS as NAMES, amounts_of
from models.schema import EVENT_TYPES

from accelerator.scan cimport AMOUNTS

#: The layouts that the compiled form implements: change both together, see models.layouts.
LAYOUTS = """\
event types: video_view like comment share save follow
event fields: event_id event_type user_id video_id timestamp creator_id session_id metadata
metadata fields: view_duration_ms video_position device_type
longest: id 128, duration 9007199254740992
amounts: one view_duration_ms positions video_position, a position of 1 is 1000000000
partitioner: seed 0x9747b28c, multiplier 0x5bd1e995
ids: 4 4 <QI, index from 3
sealed ids: <BQ 0x82 of 16, 0x83 of 255 by 36, keys b'1:23' b'1:i'
blocks: 201 bytes
user: version 4
user.views: I since 1, one of each video_view
user.likes: I since 1, one of each like
user.watch_ms: Q since 1, view_duration_ms of each video_view
user.positions: I since 4, positions of each video_view
user.position_sum: Q since 4, video_position of each video_view
video: version 2
video.views: I since 1, one of each video_view
video.likes: I since 1, one of each like
video.comments: I since 1, one of each comment
video.shares: I since 1, one of each share
video.positions: I since 2, positions of each video_view
video.position_sum: Q since 2, video_position of each video_view
creator: version 1
creator.views: I since 1, one of each video_view
creator.likes: I since 1, one of each like
creator.comments: I since 1, one of each comment
creator.shares: I since 1, one of each share
creator.follows: I since 1, one of each follow
creator.watch_ms: Q since 1, view_duration_ms of each video_view
creator.positions: I since 1, positions of each video_view
creator.position_sum: Q since 1, video_position of each video_view
video header: <BxxxQ
creator header: <B
deltas: <BBHIq, rows <QI and the entity's counters
flags of deltas: begins 1
viral: (comments + shares) / views
"""

cdef int shape_of(entity, Shape *shape) except -1:
    """Fill in the offsets of an entity's counters."""
    cdef int kind, offset = 0
    cdef Field *field
    if len(entity.counters) > MAX_FIELDS:
        raise ImportError(f"there are more than {MAX_FIELDS} counters")
    if len(EVENT_TYPES) != KINDS:
        raise ImportError(f"the number of event types differs from {KINDS}")
    places = []
    for counter in entity.counters.values():
        places.append((offset, counter))
        offset += calcsize(counter.code)
    shape.row_size, shape.count = PANE + offset, 0
    for kind, event_type in enumerate(EVENT_TYPES):
        shape.first[kind] = shape.count
        for place, counter in places:
            if counter.event_type == event_type:
                field = shape.fields + shape.count
                field.offset, field.size = place, calcsize(counter.code)
                field.amount = NAMES.index(counter.amount)
                shape.count += 1
    shape.first[<int> KINDS] = shape.count
    return 0


cdef int read_amounts(metadata, uint64_t *amounts) except -1:
    """Read the amounts of decoded metadata; see models.entity.amounts_of."""
    cdef int number
    amount = amounts_of(metadata)
    for number in range(AMOUNTS):
        amounts[number] = amount[number]
    return 0
