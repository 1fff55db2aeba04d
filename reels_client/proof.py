"""Proofs of the token, for workers whose addresses come from other workers.

Anyone who can join the consumer group can choose such an address; the token is not sent there.
Workers send each other the same proofs; docs/security.md describes them.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from secrets import token_hex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def prove(token: str, to: str, method: str, target: str, body: bytes) -> tuple[str, str]:
    """Return the ``Authorization`` header of a request, and its nonce.

    Arguments:
        token: the service's token.
        to: the worker's address, without a trailing slash.
        method: the request's method.
        target: path and query, as sent.
        body: the request's body.
    """
    nonce, now, body_hash = token_hex(16), str(int(time.time())), _hash(body)
    mac = _mac(token, "request", method, to, target, now, nonce, body_hash)
    fields = f'to="{to}", time={now}, nonce={nonce}, body={body_hash}, mac={mac}'
    return f"Reels-Proof {fields}", nonce


def is_proven(token: str, headers: Mapping[str, str], nonce: str, status: int, body: bytes) -> bool:
    """Whether the sender of an answer knows the token."""
    expected = f"mac={_mac(token, 'answer', nonce, str(status), _hash(body))}"
    given = headers.get("Authentication-Info", "")
    return hmac.compare_digest(given.encode(errors="replace"), expected.encode())


def _hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _mac(token: str, *parts: str) -> str:
    text = "\n".join(("reels-proof", *parts))
    return hmac.digest(token.encode(), text.encode(), "sha256").hex()
