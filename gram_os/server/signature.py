"""Signatures of requests: HMAC-SHA256 over a timestamp and the body. Pure.

A writer and this service share a secret. The signature shows that the writer knows it, and that nobody has changed the
body. The timestamp limits how long a request that somebody has overheard can be sent again.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, datetime
from typing import Final

TIMESTAMP_HEADER: Final = "X-Gram-Timestamp"
SIGNATURE_HEADER: Final = "X-Gram-Signature"

_PREFIX: Final = "sha256="
_SECONDS = re.compile(r"[0-9]{1,11}(\.[0-9]{1,9})?")  # a fraction tells requests of one second apart
_MILLISECONDS = re.compile(r"[0-9]{13}")


def sign(secret: bytes, timestamp: str, body: bytes) -> str:
    """Return the signature header of a body: "sha256=" and the hexadecimal HMAC-SHA256 of `timestamp + "." + body`.

    >>> sign(b"0123456789abcdef", "1767225600", b'"4711"')
    'sha256=31e75f85533e141364b97ac62bf2673963a2e9f70c9ba92ede8b59b5cf60d60c'
    """
    mac = hmac.new(secret, timestamp.encode() + b".", hashlib.sha256)
    mac.update(body)
    return _PREFIX + mac.hexdigest()


def find_timestamp_fault(timestamp: str | None, now: float, window_s: float) -> str | None:
    """Return what is wrong with a timestamp header, None when nothing is.

    now: Unix seconds. window_s: how far the timestamp may be away from it.

    >>> find_timestamp_fault("1767225600", 1767225700.2, 300) is None
    True
    >>> find_timestamp_fault("1767225600", 1767226000.2, 300)[:60]
    'the timestamp is 400 s behind the clock of this service (176'
    """
    if timestamp is None:
        return f"the header {TIMESTAMP_HEADER} is missing; give the time of sending in Unix seconds"
    if _MILLISECONDS.fullmatch(timestamp):
        return f"{TIMESTAMP_HEADER} is in milliseconds; give Unix seconds"
    if not _SECONDS.fullmatch(timestamp):
        return f"{TIMESTAMP_HEADER} is no number of seconds; give Unix seconds, such as {int(now)}"
    behind = int(now) - int(float(timestamp))
    if abs(behind) <= window_s:
        return None
    clock = f"{int(now)}, {datetime.fromtimestamp(int(now), UTC).isoformat()}"
    side = "behind" if behind > 0 else "ahead of"
    return (
        f"the timestamp is {abs(behind)} s {side} the clock of this service ({clock}), and "
        f"at most {window_s:g} s are allowed; set the clock, and sign when you send"
    )


def find_signature_fault(signature: str | None, secret: bytes, timestamp: str, body: bytes) -> str | None:
    """Return what is wrong with a signature header, None when nothing is. The comparison takes constant time.

    >>> find_signature_fault("sha256=00", b"0123456789abcdef", "1767225600", b"")[:60]
    'the signature is not that of this timestamp and body; sign T'
    >>> find_signature_fault(sign(b"key", "1767225600", b"x"), b"key", "1767225600", b"x") is None
    True
    """
    if signature is None:
        return f"the header {SIGNATURE_HEADER} is missing; give {_PREFIX}HEX, the HMAC-SHA256 of TIMESTAMP.BODY"
    given = signature.strip().lower()
    if not given.startswith(_PREFIX):
        return f"{SIGNATURE_HEADER} must be {_PREFIX} and hexadecimal digits"
    # As bytes, because compare_digest refuses texts beyond ASCII.
    if not hmac.compare_digest(given.encode("utf-8", "replace"), sign(secret, timestamp, body).encode()):
        return (
            'the signature is not that of this timestamp and body; sign TIMESTAMP + "." + the bytes as they are sent, '
            "with the secret of this service"
        )
    return None
