"""Proofs of the token, for workers whose addresses come from other workers.

Such an address may be anyone's who can join the consumer group, thus the token is not sent there.
Workers prove the token to each other in the same form; docs/security.md describes it.
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
    """Return the header ``Authorization`` of a request, and its nonce.

    Arguments:
        token: the service's.
        to: the address of the worker, without a slash at its end.
        method: of the request.
        target: path and query, as they are sent.
        body: what is sent with it.
    """
    nonce, now, body_hash = token_hex(16), str(int(time.time())), _hash(body)
    mac = _mac(token, "request", method, to, target, now, nonce, body_hash)
    fields = f'to="{to}", time={now}, nonce={nonce}, body={body_hash}, mac={mac}'
    return f"Reels-Proof {fields}", nonce


def is_proven(token: str, headers: Mapping[str, str], nonce: str, status: int, body: bytes) -> bool:
    """Whether an answer comes from one who knows the token."""
    expected = f"mac={_mac(token, 'answer', nonce, str(status), _hash(body))}"
    given = headers.get("Authentication-Info", "")
    return hmac.compare_digest(given.encode(errors="replace"), expected.encode())


def _hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _mac(token: str, *parts: str) -> str:
    text = "\n".join(("reels-proof", *parts))
    return hmac.digest(token.encode(), text.encode(), "sha256").hex()
