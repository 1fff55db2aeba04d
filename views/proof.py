"""Proofs by which workers show each other that they know the token, without sending it.

A request has ``Authorization: Reels-Proof to="…", time=…, nonce=…, body=…, mac=…``: the address of
the recipient, the sender's clock in seconds, a number used once, the SHA-256 of the body, and an
HMAC-SHA256 over these, the method, the path and the query, with the token as the key. The answer
has ``Authentication-Info: mac=…``, an HMAC over the nonce, the status and the body.

Pure: the time is an argument.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from secrets import token_hex
from typing import TYPE_CHECKING, Final, NamedTuple

from aiohttp import hdrs

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

SCHEME: Final = "Reels-Proof"

#: Seconds by which the clocks of two workers may differ, and for which a proof is valid.
MAX_SKEW_S: Final = 30

#: Header with an answer's proof.
ANSWER_PROOF: Final = "Authentication-Info"

_FIELDS: Final = re.compile(
    r'to="([!#-~]{1,2048})", time=([0-9]{1,15}), nonce=([0-9a-f]{32}), '
    r"body=([0-9a-f]{64}), mac=([0-9a-f]{64})"
)


class ProofError(ValueError):
    """A proof is rejected. The message has details only for a sender that knows the token."""


class Proof(NamedTuple):
    """The fields of a request's valid proof."""

    nonce: str
    body_hash: str


def hash_of(body: bytes) -> str:
    """Return the SHA-256 of a body in hexadecimal digits."""
    return hashlib.sha256(body).hexdigest()


class Prover:
    """Makes proofs of the token, and checks those of others."""

    def __init__(self, token: str) -> None:
        """Use ``token`` as the key."""
        self._key = token.encode()
        # Nonces by the period (of MAX_SKEW_S seconds) in which their proofs were made.
        self._used: dict[int, set[bytes]] = {}

    def headers(
        self, now: float, to: str, method: str, target: str, body: bytes = b""
    ) -> tuple[dict[str, str], str]:
        """Return the header for a request, and its nonce, which the answer's proof covers.

        Arguments:
            now: seconds since the epoch.
            to: the address of the recipient.
            method: the request's method.
            target: path and query below that address, as sent.
            body: the request's body.
        """
        nonce, time, body_hash = token_hex(16), str(int(now)), hash_of(body)
        mac = self._mac("request", method, to, target, time, nonce, body_hash)
        fields = f'to="{to}", time={time}, nonce={nonce}, body={body_hash}, mac={mac}'
        return {hdrs.AUTHORIZATION: f"{SCHEME} {fields}"}, nonce

    def check(
        self, now: float, fields: str, method: str, target: str, names: Collection[str]
    ) -> Proof:
        """Check the proof of a request. A proof is valid once.

        Arguments:
            now: seconds since the epoch.
            fields: the ``Authorization`` header after its scheme.
            method: the request's method.
            target: its path and query.
            names: the addresses of this worker.

        Raises:
            ProofError: the proof is malformed, used before, or for another request, worker or time.
        """
        found = _FIELDS.fullmatch(fields)
        if found is None:
            raise ProofError("the proof is not well-formed")
        to, time, nonce, body_hash, mac = found.groups()
        expected = self._mac("request", method, to, target, time, nonce, body_hash)
        if not hmac.compare_digest(mac, expected):
            raise ProofError("the proof was made with another token, or for another request")
        if to not in names:
            known_as = " or ".join(sorted(names))
            raise ProofError(f"the proof is for {to}, but this worker is {known_as}")
        apart = int(time) - now
        if abs(apart) > MAX_SKEW_S:
            raise ProofError(
                f"the proof is {apart:+.0f} s from the clock of this worker; at most "
                f"{MAX_SKEW_S} s are allowed"
            )
        self._use(now, int(time), bytes.fromhex(nonce))
        return Proof(nonce, body_hash)

    def _use(self, now: float, time: int, nonce: bytes) -> None:
        """Remember a nonce until its proof expires. Only senders that know the token get here."""
        for period in [each for each in self._used if (each + 2) * MAX_SKEW_S <= now]:
            del self._used[period]
        used = self._used.setdefault(time // MAX_SKEW_S, set())
        if nonce in used:
            raise ProofError("the proof was used before")
        used.add(nonce)

    def answer_headers(self, nonce: str, status: int, body: bytes) -> dict[str, str]:
        """Return the header for the answer to a request with ``nonce``."""
        return {ANSWER_PROOF: f"mac={self._answer_mac(nonce, status, body)}"}

    def is_answer(self, headers: Mapping[str, str], nonce: str, status: int, body: bytes) -> bool:
        """Whether the sender of an answer to a request with ``nonce`` knows the token."""
        expected = f"mac={self._answer_mac(nonce, status, body)}"
        given = headers.get(ANSWER_PROOF, "")
        return hmac.compare_digest(given.encode(errors="replace"), expected.encode())

    def _answer_mac(self, nonce: str, status: int, body: bytes) -> str:
        return self._mac("answer", nonce, str(status), hash_of(body))

    def _mac(self, *parts: str) -> str:
        # No part can contain a newline.
        text = "\n".join(("reels-proof", *parts))
        return hmac.digest(self._key, text.encode(errors="surrogateescape"), "sha256").hex()
