"""Signatures: what is right passes, and each fault is named without telling the secret."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gram_os.server.signature import find_signature_fault, find_timestamp_fault, sign

SECRET = b"0123456789abcdef"
NOW = 1_767_225_600


def test_the_signature_is_the_hmac_of_timestamp_dot_body() -> None:
    expected = hmac.new(SECRET, b"1767225600.body", hashlib.sha256).hexdigest()
    assert sign(SECRET, "1767225600", b"body") == f"sha256={expected}"


@given(st.binary(), st.binary(min_size=1))
def test_only_the_signed_body_passes(body: bytes, other: bytes) -> None:
    signature = sign(SECRET, str(NOW), body)
    assert find_signature_fault(signature, SECRET, str(NOW), body) is None
    assert find_signature_fault(signature.upper().replace("SHA", "sha"), SECRET, str(NOW), body) is None
    for secret, timestamp, changed in (
        (SECRET + b"x", str(NOW), body),
        (SECRET, str(NOW + 1), body),
        (SECRET, str(NOW), body + other),
    ):
        assert find_signature_fault(signature, secret, timestamp, changed) is not None


@given(st.none() | st.text())
def test_any_header_is_a_fault_and_no_exception(header: str | None) -> None:
    fault = find_signature_fault(header, SECRET, str(NOW), b"body")
    assert fault is not None
    assert SECRET.decode() not in fault
    assert sign(SECRET, str(NOW), b"body")[7:] not in fault


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (None, "X-Gram-Signature is missing"),
        ("", "must be sha256="),
        ("md5=00", "must be sha256="),
        ("sha256=é", "is not that of this timestamp and body"),
        ("sha256=", "is not that of this timestamp and body"),
    ],
)
def test_what_is_wrong_with_a_signature(header: str | None, says: str) -> None:
    assert says in str(find_signature_fault(header, SECRET, str(NOW), b""))


@pytest.mark.parametrize("away", [0, 300, -300])
def test_the_window_goes_both_ways(away: int) -> None:
    assert find_timestamp_fault(str(NOW + away), NOW + 0.9, 300) is None
    assert find_timestamp_fault(f"{NOW + away}.123456789", NOW + 0.9, 300) is None


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (None, "X-Gram-Timestamp is missing"),
        ("", "no number of seconds"),
        ("soon", "no number of seconds"),
        ("١٧٦٧٢٢٥٦٠٠", "no number of seconds"),
        ("-1", "no number of seconds"),
        ("1" * 5000, "no number of seconds"),
        (f"{NOW}.", "no number of seconds"),
        (f"{NOW}e1", "no number of seconds"),
        (f"{NOW}000", "in milliseconds"),
        (str(NOW - 301), "301 s behind the clock of this service (1767225600, 2026-01-01T00:00:00+00:00)"),
        (str(NOW + 301), "301 s ahead of the clock"),
        ("99999999999", "ahead of the clock"),
    ],
)
def test_what_is_wrong_with_a_timestamp(header: str | None, says: str) -> None:
    assert says in str(find_timestamp_fault(header, NOW, 300))
