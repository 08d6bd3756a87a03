"""`POST /v1/hooks/catalogue`: a signed request of a writer becomes a record of the queue on the cluster.

Knows the headers and the answers. The signature is the only authorisation: before it is checked, an answer says nothing
of the indices. What a line means stands in `catalogue_lines`, and how a request is stored in `gram_os.ingest.queue`.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import time
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, HTTPException, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from gram_os.errors import ClusterError, InputError
from gram_os.ingest.queue import ChangeQueue
from gram_os.server.body import read_body, unpack_body
from gram_os.server.catalogue_lines import CatalogueLines, parse_lines
from gram_os.server.signature import find_signature_fault, find_timestamp_fault
from gram_os.settings import HookSettings

PATH: Final = "/v1/hooks/catalogue"

_AT_ONCE: Final = 4  # requests that are unpacked and stored together; each may take some 20 times its bytes
_RETRY_S: Final = 5
_KEY = re.compile(r"[\x20-\x7e]{1,200}")
_DESCRIPTION: Final = """Queue catalogue changes on the cluster. `gram-os watch` writes and codes them.

The body has one change a line. `"4711"` or `{"id": "4711"}` makes the codes of a document anew.
`{"id": "4711", "title": "Lamp", "colour": "red"}` writes a product as `gram-os load` does, and codes it."""
_BODY: Final = {"requestBody": {"required": True, "content": {"application/x-ndjson": {"schema": {"type": "string"}}}}}
_REFUSALS: Final[dict[int | str, dict[str, Any]]] = {
    400: {"description": "No line can be used, or the body cannot be unpacked."},
    401: {"description": "The timestamp or the signature is missing or wrong."},
    404: {"description": "The hook takes no changes for this index."},
    408: {"description": "The body did not come in time."},
    409: {"description": "The idempotency key or the signature was used for something else."},
    413: {"description": "The body is too large."},
    415: {"description": "An encoding other than gzip."},
    503: {"description": "The cluster does not take the changes now, or no secret is set."},
}

log = logging.getLogger(__name__)


class WrongLine(BaseModel):
    """A line that was not queued. line: counts from 1."""

    line: int
    error: str


class Queued(BaseModel):
    """The answer to a request that is on the cluster."""

    id: str = Field(description="the record of the queue")
    queued: int = Field(description="lines that are queued")
    ids: int = Field(description="those of them that are ids")
    products: int = Field(description="those of them that are products")
    bad_lines: int = Field(description="lines that were not queued")
    errors: list[WrongLine] = Field(description="the first 100 bad lines")
    duplicate: bool = Field(description="true: the request was queued before, and not again")


@dataclass(frozen=True, slots=True)
class _Message:
    """A request whose signature is right."""

    index: str
    body: bytes
    encoding: str | None
    signed: str
    key: str | None


def build_hook(settings: HookSettings, queue: ChangeQueue) -> APIRouter:
    """Build the route."""
    router = APIRouter()
    turns = asyncio.Semaphore(_AT_ONCE)

    @router.post(
        PATH,
        status_code=202,
        response_model=Queued,
        responses=_REFUSALS,
        description=_DESCRIPTION,
        openapi_extra=_BODY,
    )
    async def queue_changes(
        request: Request,
        index: Annotated[str | None, Query(description="may be left out where the hook has one index")] = None,
        x_gram_timestamp: Annotated[str | None, Header(description="Unix seconds")] = None,
        x_gram_signature: Annotated[str | None, Header(description="sha256=HEX of TIMESTAMP.BODY")] = None,
        idempotency_key: Annotated[str | None, Header(description="1 to 200 printable characters")] = None,
        content_encoding: Annotated[str | None, Header(description="gzip, or none")] = None,
    ) -> Any:
        try:
            body = await _read_timely_body(request, settings, x_gram_timestamp)
        except ClientDisconnect:
            return JSONResponse({"detail": "the connection ended before the body"}, 400)  # nobody reads it
        timestamp = x_gram_timestamp or ""
        await run_in_threadpool(_check_signature, settings, x_gram_signature, timestamp, body)
        signed = f"{timestamp}.{hashlib.sha256(body).hexdigest()}"
        chosen, key = _choose_index(settings, index), _check_key(idempotency_key)
        async with turns:
            message = _Message(chosen, body, content_encoding, signed, key)
            return await run_in_threadpool(_accept, settings, queue, message)

    return router


async def _read_timely_body(request: Request, settings: HookSettings, timestamp: str | None) -> bytes:
    """Check the timestamp, then read the body."""
    if settings.secret is None:
        raise HTTPException(
            503, "the hook is closed, because no secret is set; set GRAM_OS_HOOK_SECRET for the service"
        )
    fault = find_timestamp_fault(timestamp, time.time(), settings.window_s)
    if fault is not None:
        raise _refuse(fault)
    return await read_body(request, settings.max_bytes)


def _check_signature(settings: HookSettings, signature: str | None, timestamp: str, body: bytes) -> None:
    assert settings.secret is not None  # noqa: S101  (_read_timely_body has refused)
    fault = find_signature_fault(signature, settings.secret.get_secret_value().encode(), timestamp, body)
    if fault is not None:
        raise _refuse(fault)


def _refuse(fault: str) -> HTTPException:
    log.warning("hook: refused: %s", fault)
    return HTTPException(401, fault, {"WWW-Authenticate": "HMAC-SHA256"})


def _choose_index(settings: HookSettings, index: str | None) -> str:
    if index in settings.indices:
        return str(index)
    if index is None and len(settings.indices) == 1:
        return settings.indices[0]
    if not settings.indices:
        raise HTTPException(404, "the hook has no index; set GRAM_OS_HOOK_INDICES for the service")
    wrong = (
        "the parameter 'index' is missing" if index is None else f"the hook takes no changes for index {index[:255]!r}"
    )
    raise HTTPException(404, f"{wrong}; give one of {', '.join(settings.indices)}")


def _check_key(key: str | None) -> str | None:
    if key is not None and not _KEY.fullmatch(key):
        raise HTTPException(400, "Idempotency-Key must have 1 to 200 printable ASCII characters")
    return key


def _accept(settings: HookSettings, queue: ChangeQueue, message: _Message) -> Any:
    """Unpack, read and store a request. Talks to the cluster, so it runs in a thread."""
    fields = {"id_field": settings.id_field, "title_field": settings.title_field}
    body = unpack_body(message.body, message.encoding, settings.max_bytes)
    try:
        lines = parse_lines(body, **fields)
    except InputError as error:
        raise HTTPException(413, str(error)) from error
    if not lines.changes:
        problem = "no line can be used" if lines.bad else 'the body has no line; send one change a line, such as "4711"'
        return JSONResponse({"detail": problem, **_name_bad_lines(lines)}, 400)
    digest = hashlib.sha256(body).hexdigest()
    try:
        receipt = queue.add(
            message.index, lines.changes, signed=message.signed, digest=digest, key=message.key, **fields
        )
    except InputError as error:
        raise HTTPException(409, str(error)) from error
    except ClusterError as error:
        log.error("hook: %s: not stored: %s", message.index, error)
        raise HTTPException(
            503,
            "the cluster does not take the changes now; send the same request again, it is queued once",
            {"Retry-After": str(_RETRY_S)},
        ) from error
    ids = len(lines.changes) - lines.products
    log.info(
        "hook: %s: %s: %d ids, %d products, %d bad lines",
        *(message.index, "known already" if receipt.duplicate else "queued", ids, lines.products, lines.bad),
    )
    return {
        **{"id": receipt.id, "queued": len(lines.changes), "ids": ids, "products": lines.products},
        **_name_bad_lines(lines),
        "duplicate": receipt.duplicate,
    }


def _name_bad_lines(lines: CatalogueLines) -> dict[str, Any]:
    return {"bad_lines": lines.bad, "errors": [asdict(error) for error in lines.errors]}
