"""Kinds of setting values: how they are parsed, what is allowed, how they are shown."""

from __future__ import annotations

import math
import re
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from models.windows import format_duration, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable

_SCHEME = "kafka://"
_BROKER = re.compile(rf"(?:{_SCHEME})?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{{1,5}}))?/?")
#: Faust's, and Kafka's.
_DEFAULT_PORT = "9092"
_SIZE_UNITS = {"GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "B": 1}


@dataclass(frozen=True, slots=True)
class SettingKind:
    """``parse`` raises ValueError for a value that is not ``allowed``; ``show`` formats a value."""

    parse: Callable[[str], Any]
    allowed: str
    show: Callable[[Any], str] = str


def integer(low: int, high: int) -> SettingKind:
    """Parse decimal digits, from ``low`` to ``high``."""

    def parse(text: str) -> int:
        if not re.fullmatch("[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise ValueError(text)
        return int(text)

    return SettingKind(parse, f"an integer from {low} to {high}")


def number(high: float, allowed: str, low: float = 0.0) -> SettingKind:
    """Parse a decimal fraction above ``low``, up to ``high``."""

    def parse(text: str) -> float:
        value = float(text)
        if not math.isfinite(value) or not low < value <= high or "_" in text:
            raise ValueError(text)
        return value

    return SettingKind(parse, allowed)


def duration(high: str, low: str = "1ms", *, whole: str = "1ms") -> SettingKind:
    """Parse ``15m`` to milliseconds, from ``low`` to ``high``, a multiple of ``whole``."""
    low_ms, high_ms, whole_ms = map(parse_duration, (low, high, whole))

    def parse(text: str) -> int:
        value = parse_duration(text)
        if not low_ms <= value <= high_ms or value % whole_ms:
            raise ValueError(text)
        return value

    fine = whole_ms == 1
    such, multiple = ("100ms, ", "") if fine else ("", f"a multiple of {whole} ")
    allowed = f"a duration such as {such}30s, 5m or 24h, {multiple}from {low} to {high}"
    return SettingKind(parse, allowed, format_duration)


def size(low: str, high: str) -> SettingKind:
    """Parse ``64MiB`` to bytes, from ``low`` to ``high``."""

    def parse(text: str) -> int:
        value = _bytes(text)
        if not _bytes(low) <= value <= _bytes(high):
            raise ValueError(text)
        return value

    return SettingKind(parse, f"a size such as 64MiB or 2GiB, from {low} to {high}", _show_size)


def matching(pattern: str, allowed: str) -> SettingKind:
    """Accept a text that ``pattern`` matches completely."""

    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(text)
        return text

    return SettingKind(parse, allowed)


def one_of(*values: str) -> SettingKind:
    """Accept one of ``values``, exactly as written."""
    return matching("|".join(map(re.escape, values)), " or ".join(values))


def topic(longest: int = 249) -> SettingKind:
    """Accept a valid name of a Kafka topic or group member."""
    return matching(
        rf"(?!\.{{1,2}}$)[A-Za-z0-9._-]{{1,{longest}}}",
        f"1 to {longest} characters of A-Z, a-z, 0-9, dot, dash and underscore",
    )


def broker_url() -> SettingKind:
    """Accept a text like ``kafka://a:9092,b:9092``, as Faust does without scheme or port too."""

    def parse(text: str) -> str:
        broker_addresses(text)
        return text if text.startswith(_SCHEME) else f"{_SCHEME}{text}"

    return SettingKind(
        parse, "kafka://host:port, several of them separated by commas or semicolons"
    )


def web_address() -> SettingKind:
    """Accept the address of a web server: a host, with an optional port and path."""
    shape = matching(
        r"https?://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?",
        "an address such as http://worker-1:6066",
    )

    def parse(text: str) -> str:
        # An invalid IPv6 address and a port above 65535 raise ValueError.
        _ = urlsplit(shape.parse(text)).port
        return text

    return SettingKind(parse, shape.allowed)


def token_url() -> SettingKind:
    """Accept the address of an OAuth token endpoint; a login in it would end up in logs."""

    def parse(text: str) -> str:
        # A port above 65535 raises ValueError as well.
        if not re.fullmatch(r"https?://[^\s@#\\]+", text) or not urlsplit(text).hostname:
            raise ValueError(text)
        _ = urlsplit(text).port
        return text

    return SettingKind(parse, "an address such as https://login.example.com/oauth2/token")


def folder() -> SettingKind:
    """Accept the path of a folder, which need not exist yet."""

    def parse(text: str) -> str:
        try:
            is_other = Path(text).exists() and not Path(text).is_dir()
        # The name is too long, or a folder above may not be entered.
        except OSError as exc:
            raise ValueError(text) from exc
        if is_other:
            raise ValueError(text)
        return text

    return SettingKind(parse, "the path of a folder")


def file() -> SettingKind:
    """Accept the path of a readable file."""

    def parse(text: str) -> str:
        try:
            with Path(text).open("rb"):
                return text
        except OSError as exc:
            raise ValueError(text) from exc

    return SettingKind(parse, "the path of a file that can be read")


def certificates() -> SettingKind:
    """Accept the path of a file with certificates that TLS can load."""

    def parse(text: str) -> str:
        # An unreadable file raises OSError, and invalid content its subclass SSLError.
        try:
            ssl.create_default_context(cafile=text)
        except OSError as exc:
            raise ValueError(text) from exc
        return text

    return SettingKind(parse, "the path of a file with certificates in PEM format")


def broker_addresses(url: str) -> list[str]:
    """Return the brokers in ``url`` as ``host:port``. Raises ValueError."""
    parts = [_BROKER.fullmatch(part) for part in re.split("[,;]", url)]
    found = [part.groups(_DEFAULT_PORT) for part in parts if part]
    if len(found) != len(parts) or not all(0 < int(port) < 1 << 16 for _, port in found):
        raise ValueError(url)
    return [f"{host}:{port}" for host, port in found]


def hide_login(url: str) -> str:
    """Return ``url`` without a login: without anything before an ``@``, and without a query.

    More than the login may be removed, because in an invalid address the end of a login is unknown.
    """
    without = re.sub(r"(?s)^([A-Za-z][A-Za-z0-9+.-]*://)?.*@", r"\1***@", url)
    return re.sub(r"(?s)[?#].*", "?***", without)


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine can reach a server bound to ``host``."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bytes(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,18})(B|KiB|MiB|GiB|)", text)
    if not found:
        raise ValueError(text)
    return int(found[1]) * _SIZE_UNITS[found[2] or "B"]


def _show_size(size_bytes: int) -> str:
    unit = next(name for name, factor in _SIZE_UNITS.items() if size_bytes % factor == 0)
    return f"{size_bytes // _SIZE_UNITS[unit]}{unit}"
