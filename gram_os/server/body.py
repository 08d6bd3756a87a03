"""Bodies of requests: read while they come, unpacked, and never larger than a limit.

A request may be refused before its body is read: uvicorn reads the rest and keeps nothing of it, so that the writer
sees the answer and no broken connection.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import Final

from fastapi import HTTPException, Request

_READ_S: Final = 60.0
_GZIP: Final = 31  # zlib's number for a gzip header and checksum
_MOST_MEMBERS: Final = 100  # gzip files one behind the other


async def read_body(request: Request, most: int) -> bytes:
    """Read a body of at most `most` bytes.

    Raises HTTPException: 413 for a larger one, whatever its Content-Length says, and 408 after a minute. Raises
    starlette's ClientDisconnect when the connection ends before the body.
    """
    if int(request.headers.get("content-length", "0")) > most:  # uvicorn has refused what is no number
        raise _refuse_size(most)
    body = bytearray()
    try:
        async with asyncio.timeout(_READ_S):
            async for part in request.stream():
                body += part
                if len(body) > most:
                    raise _refuse_size(most)
    except TimeoutError as error:
        raise HTTPException(408, f"the body did not come within {_READ_S:g} s; send it again") from error
    return bytes(body)


def unpack_body(body: bytes, encoding: str | None, most: int) -> bytes:
    """Undo a Content-Encoding. The result has at most `most` bytes, however small the packed body is.

    Raises HTTPException: 415 for an encoding other than gzip, 400 for broken gzip, 413 for a result that is too large.
    """
    if encoding is None or encoding.strip().lower() in ("", "identity"):
        return body
    if encoding.strip().lower() not in ("gzip", "x-gzip"):
        raise HTTPException(415, f"Content-Encoding {encoding[:40]!r}: send gzip, or leave the header out")
    unpacked = bytearray()
    for _ in range(_MOST_MEMBERS):
        member = zlib.decompressobj(_GZIP)
        try:
            unpacked += member.decompress(body, most - len(unpacked) + 1)
        except zlib.error as error:
            raise HTTPException(400, f"the body is not gzip, as Content-Encoding says: {error}") from error
        if len(unpacked) > most:
            raise _refuse_size(most)
        if not member.eof:
            raise HTTPException(400, "the gzip of the body ends too early; send it again")
        body = member.unused_data
        if not body:
            return bytes(unpacked)
    raise HTTPException(400, f"the body has more than {_MOST_MEMBERS} gzip members; pack it in one")


def _refuse_size(most: int) -> HTTPException:
    return HTTPException(
        413, f"the body has more than {most / 2**20:g} MB, packed or unpacked; send the lines in several requests"
    )
