"""Proofs: how workers show each other that they know the token, which is not sent.

A request carries ``Authorization: Reels-Proof to="…", time=…, nonce=…, body=…, mac=…``: the
address that it is meant for, the sender's clock in seconds, a number used once, the SHA-256 of the
body, and an HMAC-SHA256 of all that with the method, the path and the query, by the token. The
answer carries ``Authentication-Info: mac=…``, an HMAC of the nonce, the status and the body.

Pure: it is given the time, and asks nobody.
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

#: Seconds by which the clocks of two workers may differ, and for which a proof is good.
MAX_SKEW: Final = 30

#: What an answer's proof stands in.
ANSWER_PROOF: Final = "Authentication-Info"

_FIELDS: Final = re.compile(
    r'to="([!#-~]{1,2048})", time=([0-9]{1,15}), nonce=([0-9a-f]{32}), '
    r"body=([0-9a-f]{64}), mac=([0-9a-f]{64})"
)


class ProofError(ValueError):
    """A proof is not taken. The message says why; only who knows the token hears more than no."""


class Proof(NamedTuple):
    """What a request's proof promises beside the token."""

    nonce: str
    body_hash: str


def hash_of(body: bytes) -> str:
    """Return the SHA-256 of a body in hexadecimal digits."""
    return hashlib.sha256(body).hexdigest()


class Prover:
    """Makes proofs by the token, and checks those of others."""

    def __init__(self, token: str) -> None:
        """Know ``token``."""
        self._key = token.encode()
        # Nonces by the period of MAX_SKEW in which their proofs were made.
        self._used: dict[int, set[bytes]] = {}

    def headers(
        self, now: float, to: str, method: str, target: str, body: bytes = b""
    ) -> tuple[dict[str, str], str]:
        """Return the header for a request, and its nonce, which the answer's proof goes by.

        Arguments:
            now: seconds since the epoch.
            to: the address of the worker that is asked.
            method: GET or another.
            target: path and query below that address, as they are sent.
            body: what is sent with it.
        """
        nonce, time, body_hash = token_hex(16), str(int(now)), hash_of(body)
        mac = self._mac("request", method, to, target, time, nonce, body_hash)
        fields = f'to="{to}", time={time}, nonce={nonce}, body={body_hash}, mac={mac}'
        return {hdrs.AUTHORIZATION: f"{SCHEME} {fields}"}, nonce

    def check(
        self, now: float, fields: str, method: str, target: str, names: Collection[str]
    ) -> Proof:
        """Take the proof of a request, once.

        Arguments:
            now: seconds since the epoch.
            fields: the header ``Authorization`` after its scheme.
            method: of the request.
            target: its path and query.
            names: the addresses that mean this worker.

        Raises:
            ProofError: it is no proof, or one for another request, worker or time, or known.
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
            raise ProofError(f"the proof is for {to}, and this worker is {known_as}")
        apart = int(time) - now
        if abs(apart) > MAX_SKEW:
            raise ProofError(
                f"the proof is {apart:+.0f} s from the clock of this worker, and clocks may differ "
                f"by {MAX_SKEW} s"
            )
        self._use(now, int(time), bytes.fromhex(nonce))
        return Proof(nonce, body_hash)

    def _use(self, now: float, time: int, nonce: bytes) -> None:
        """Remember a nonce until its time is over. Only who knows the token can fill this."""
        for period in [each for each in self._used if (each + 2) * MAX_SKEW <= now]:
            del self._used[period]
        used = self._used.setdefault(time // MAX_SKEW, set())
        if nonce in used:
            raise ProofError("the proof was used before")
        used.add(nonce)

    def answer_headers(self, nonce: str, status: int, body: bytes) -> dict[str, str]:
        """Return the header for the answer to a request with ``nonce``."""
        return {ANSWER_PROOF: f"mac={self._answer_mac(nonce, status, body)}"}

    def is_answer(self, headers: Mapping[str, str], nonce: str, status: int, body: bytes) -> bool:
        """Whether an answer to a request with ``nonce`` comes from one who knows the token."""
        expected = f"mac={self._answer_mac(nonce, status, body)}"
        given = headers.get(ANSWER_PROOF, "")
        return hmac.compare_digest(given.encode(errors="replace"), expected.encode())

    def _answer_mac(self, nonce: str, status: int, body: bytes) -> str:
        return self._mac("answer", nonce, str(status), hash_of(body))

    def _mac(self, *parts: str) -> str:
        # No part can hold a line's end.
        text = "\n".join(("reels-proof", *parts))
        return hmac.digest(self._key, text.encode(errors="surrogateescape"), "sha256").hex()
