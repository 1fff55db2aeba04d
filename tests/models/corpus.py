"""Values that no producer should send, and that some will send."""

from __future__ import annotations

import json
from typing import Any

MIB = 1024 * 1024

EXAMPLE: dict[str, Any] = {
    "event_id": "evt_123456789",
    "event_type": "video_view",
    "user_id": 987654321,
    "video_id": 567890123,
    "creator_id": 123456789,
    "timestamp": "2025-01-15T14:30:45.123Z",
    "session_id": "sess_abcdef123",
    "metadata": {"view_duration_ms": 15000, "video_position": 0.75, "device_type": "mobile"},
}


def example(**changes: Any) -> dict[str, Any]:
    """Return the contract's example with other values; ``...`` omits a field."""
    return {name: value for name, value in (EXAMPLE | changes).items() if value is not ...}


def value_of(**changes: Any) -> bytes:
    """Return an example with other values, encoded as a record's value."""
    return json.dumps(example(**changes)).encode()


def raw_value(field: str, text: str | bytes) -> bytes:
    """Return the example with ``text`` as the raw JSON of one field, valid or not."""
    text = text.encode() if isinstance(text, str) else text
    marked = json.dumps(example(**{field: "@@"})).encode()
    return marked.replace(b'"@@"', text)


def raw_metadata(field: str, text: str) -> bytes:
    """Return the example with ``text`` as the raw JSON of one field of the metadata."""
    return raw_value("metadata", f'{{"{field}": {text}}}')


NUMBERS = (
    *("0", "-0", "1", "-1", "1.0", "1.5", "1e3", "1E2", "1e999", "-1e999", "1e-400", "0e99999"),
    *("9223372036854775807", "9223372036854775808", "18446744073709551616", "1" * 5000),
    *("9007199254740992", "9007199254740993", "0." + "1" * 3000, "1.0000000000000001"),
    *("01", "1.", ".5", "-", "+1", "0x10", "NaN", "Infinity", "-Infinity", "nan", "1_000"),
    *(
        "-0.0",
        "-0.5",
        "-0e1",
        "-1e-400",
        "1e0",
        "1e-3",
        "2",
        "10.5",
        "75.50",
        "1.0000",
        "1e",
        "1e+",
    ),
    *("1.000000000000001", "1.00000000000000000001", "0.123456789012345678", "0.1234567895"),
    *("1" * 40, "1" * 300, "1" * 301, "1" * 299 + ".5", "0." + "0" * 250 + "1"),
    *("1000000000000000000", "9223372036854775806", "9999999999999999999", "12345678901234567890"),
)
TEXTS = (
    *('""', '"x"', '"' + "x" * 128 + '"', '"' + "x" * 129 + '"', '"\\u0000"', '"\\ud83d\\ude00"'),
    *('"\\ud800"', '"\\udc00"', '"\\ud800\\u0041"', '"\\q"', '"\\u12"', '"\\', '"', '"a\nb"'),
    *('"987654321"', '"\x7f"', '"é😀"', "'x'"),
)
OTHERS = ("null", "true", "false", "[]", "{}", "[1]", '{"a": 1}', "nul", "", "[1,]", '{"a" 1}')
RAW_TEXTS = NUMBERS + TEXTS + OTHERS

TIMES = (
    "2025-01-15T14:30:45.123Z",
    "2025-01-15t14:30:45.123z",
    "2025-01-15 14:30:45.123+00:00",
    "2025-01-15T14:30:45-00:00",
    "2025-01-15T20:00:45.5+05:30",
    "2025-01-15T14:30:45+0100",
    "2025-01-15T14:30:45.1234567Z",
    "2025-01-15T14:30:45.123999999Z",
    "2025-01-15T14:30:45.9999995Z",
    "2025-01-15T14:30:45.999999499999Z",
    "2025-12-31T23:59:59.9999999Z",
    "9999-12-31T23:59:59.9999999Z",
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59",
    "1969-12-31T23:59:59.9999999Z",
    "1970-01-01T00:00:00Z",
    "2016-12-31T23:59:60Z",
    "2016-12-31T23:59:60.999Z",
    "2017-01-01T05:29:60+05:30",
    "2016-12-31T22:59:60Z",
    "9999-12-31T23:59:60Z",
    "2025-01-15T14:30:61Z",
    "2025-01-15T14:30:45",
    "2025-01-15T14:30Z",
    "2025-01-15T24:00:00Z",
    "2025-02-29T00:00:00Z",
    "2024-02-29T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "2025-01-15",
    "2025-01-15T14:30:45.Z",
    "2025-01-15T14:30:45,5Z",
    "2025-01-15T14:30:45.123 Z",
    "2025-01-15T14:30:45+24:00",
    "2025-01-15T14:30:45+01",
    "2025-01-15T14:30:45+01:60",
    " 2025-01-15T14:30:45Z",
    "2025-01-15T14:30:45Z\n",
    "٢٠٢٥-01-15T14:30:45Z",
    "20250115T143045Z",
    "1736951445",
    "",
)

UTF_8 = (
    # the first and the last characters of each UTF-8 length, and their invalid neighbours
    *(b"\xc2\x80", b"\xe0\xa0\x80", b"\xed\x9f\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"),
    *(b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80"),
    *(b"\xc2", b"\xe1\x80", b"\xf1\x80\x80", b"\x80", b"\xf5\x80\x80\x80", b"\x1f", b"\x7f"),
)

ODD: tuple[bytes, ...] = (
    # the same, as other producers write it
    json.dumps(example(), indent=4).encode(),
    json.dumps(example(), indent="\t").replace("\n", "\r\n").encode(),
    json.dumps(dict(reversed(example().items()))).encode(),
    # unknown fields
    raw_value("extra", json.dumps({"a": [1.5, -2e-3, True, None, {}], "b": "é" * 600})),
    raw_value("extra", json.dumps({"größe": 1, "user_id": {"user_id": 7}})),
    raw_metadata("extra", json.dumps({"größe": [[], [{}], {"": []}]}, ensure_ascii=False)),
    *(raw_value("extra", '{"a":' * n + "[]" + "}" * n) for n in (1, 62, 63, 64, 65)),
    *(raw_value("extra", "[" * n + "]" * n) for n in (63, 64, 65, 66)),
    *(raw_value("extra", text) for text in ("[1,]", "[,]", '{"a":1,}', '{"a"}', "[1}", '{"a":1]')),
    # escapes, and multi-byte characters
    raw_value("event_id", r'"evt\/\u00e9\ud83d\ude00\b\f\n\r\t\\\""'),
    *(raw_value("event_id", f'"{c * 128}"') for c in (r"\u0061", r"\ud83d\ude00", "😀")),
    *(raw_value("event_id", f'"{c * 129}"') for c in (r"\u0061", "é")),
    *(raw_value("event_id", '"' + r"\n" * n + '"') for n in (1023, 1024, 1025, 1400)),
    *(raw_value("event_id", '"' + "é" * n + r'\n"') for n in (511, 512, 513)),
    raw_value("event_type", r'"video\u005fview"'),
    raw_value("event_type", r'"video\u005fviews"'),
    raw_value("timestamp", r'"2025-01-15T14:30:45\u002b02:00"'),
    raw_value("timestamp", r'"2025-01-15T14:30:45\u005a\u0000"'),
    raw_value("timestamp", '"2025-01-15T14:30:45.' + "1" * 1100 + r'\u005a"'),
    raw_value("session_id", r'"\"sess\""'),
    raw_metadata("device_type", r'"\u00e9\/"'),
    value_of().replace(b'"metadata"', rb'"met\u0061data"'),
    value_of()[:-1] + rb', "met\u0061data": {}}',
    value_of()[:-1] + b', "' + rb"\u0061" * 1100 + b'": 1}',
    *(raw_value("session_id", b'"' + text + b'"') for text in UTF_8),
    # several errors
    value_of(creator_id="x", session_id=5, metadata=[]),
    value_of(
        creator_id=-1, metadata={"device_type": 1, "video_position": 2, "view_duration_ms": -3}
    ),
    value_of(creator_id="x", user_id="x"),
    value_of(event_id="", event_type="dance"),
    value_of(event_type="dance", user_id="x"),
    value_of(event_type=5, user_id="x"),
    value_of(user_id=-5, timestamp="today"),
    value_of(event_id=5, timestamp=...),
    b'{"a": 1}',
    b'{"a": 1,}',
)
"""What producers send that is not in the common form: right, wrong, and nearly so."""

NASTY: tuple[bytes, ...] = (
    *ODD,
    # nothing, or not JSON
    *(
        b"",
        b" ",
        b"\n",
        b"\x00",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b"\x1f\x8b\x08",
        b"\xac\xed\x00\x05",
    ),
    *(b"nul", b"NaN", b"tru", b"{", b"}", b"[", b'"', b'{"', b'{"a"', b'{"a":', b'{"a":1', b"{,}"),
    *(b"{}{}", b"{} x", b"{}\x00", b"// c\n{}", b"{'a': 1}", b"{a: 1}", b"{1: 2}", b"event_id=1"),
    value_of()[:-1],
    value_of() + b"}",
    value_of() + b"\x00",
    value_of() + b"\n \t\r",
    b"\xef\xbb\xbf" + value_of(),
    value_of().decode().encode("utf-16"),
    value_of().replace(b"}", b",}"),
    value_of().replace(b"{", b"{/* c */"),
    # JSON, but not an object
    *(
        b"null",
        b"true",
        b"1",
        b"-1.5e3",
        b'"x"',
        b"[]",
        b"[{}]",
        b"[1,2",
        b"[1 2]",
        b"[nul]",
        b"1 2",
    ),
    b"[" + value_of() + b"]",
    # nesting
    b"[" * 100_000,
    b"[" * 255 + b"]" * 255,
    b"[" * 5000 + b"]" * 5000,
    b'{"a":' * 5000 + b"1" + b"}" * 5000,
    raw_value("extra", "[" * 254 + "]" * 254),
    raw_value("extra", "[" * 255 + "]" * 255),
    raw_value("extra", "[" * 256 + "]" * 256),
    raw_value("extra", "[" * 5000 + "]" * 5000),
    raw_value("extra", "[" * 5000),
    raw_value("metadata", "[" * 5000 + "]" * 5000),
    raw_value("metadata", '{"device_type":' * 300 + "1" + "}" * 300),
    raw_value("user_id", "[" * 300 + "]" * 300),
    raw_value("session_id", json.dumps("[" * 5000)),
    raw_value("session_id", json.dumps('\\"[{' * 5000)),
    raw_value("extra", json.dumps([{}] * 1000)),
    # size
    value_of(session_id="x" * MIB),
    value_of(session_id="x" * (MIB - len(value_of(session_id="")))),
    value_of(session_id="x" * (MIB + 1 - len(value_of(session_id="")))),
    b" " * MIB,
    b" " * (MIB + 1),
    # duplicate keys
    value_of()[:-1] + b', "user_id": 5}',
    value_of()[:-1] + b', "user_id": "x"}',
    value_of()[:-1] + b', "user_id": null}',
    value_of(user_id="x")[:-1] + b', "user_id": 5}',
    value_of()[:-1] + b', "metadata": {}}',
    value_of()[:-1] + b', "metadata": 7}',
    value_of()[:-1] + b', "metadata": null}',
    value_of(metadata=7)[:-1] + b', "metadata": {"view_duration_ms": 5}}',
    raw_value("metadata", '{"view_duration_ms": -1, "view_duration_ms": 5}'),
    raw_value("metadata", '{"view_duration_ms": 5, "view_duration_ms": -1}'),
    # keys
    value_of().replace(b"user_id", b"\\u0075ser_id"),
    value_of().replace(b"user_id", b"User_id"),
    value_of().replace(b"user_id", b"\xff"),
    value_of()[:-1] + b', "\xff": 1}',
    value_of()[:-1] + b', "": 1}',
    value_of()[:-1] + b', "\\ud800": 1}',
    value_of()[:-1] + b', "x": "\xc3\x28"}',
    value_of()[:-1] + b', "x": "\xed\xa0\x80"}',
    # one error each
    *(raw_value(field, text) for field in (*EXAMPLE, "extra") for text in RAW_TEXTS),
    *(raw_metadata(field, text) for field in EXAMPLE["metadata"] for text in RAW_TEXTS),
    *(raw_metadata("extra", text) for text in RAW_TEXTS),
    *(value_of(timestamp=text) for text in TIMES),
    *(value_of(timestamp=text, creator_id=None, metadata=None) for text in TIMES),
    # digits of a timestamp behind escapes
    raw_value("timestamp", '"2025-01-15T14:30:45.123\\u00399999\\u0039Z"'),
    raw_value("timestamp", '"2025-01-15T14:30:45.123\\u0039\\u0039\\u0039\\u0039Z"'),
    raw_value("timestamp", '"2025-01-15T14:30:45\\u002e1239999\\u0039Z"'),
    raw_value("timestamp", '"2025-01-15T14:30:45\\u002E9999999Z"'),
    raw_value("timestamp", '"2025-01-15T14:30:45.123999\\u0036Z\\u0000"'),
    *(value_of(**{field: ...}) for field in EXAMPLE),
    *(value_of(**{field: None}) for field in EXAMPLE),
    value_of(metadata={"view_duration_ms": None, "video_position": None, "device_type": None}),
)
