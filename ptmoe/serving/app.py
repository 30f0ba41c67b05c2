"""The HTTP server: OpenAI's completions and chat completions, models, health and measures."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, Counter, generate_latest
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ptmoe.runtime.strict_json import parse_json
from ptmoe.serving.asked import Asked, AskedChat, AskedText, RefusedError, parsed
from ptmoe.serving.service import Answering, Service
from ptmoe.tuning.adapters import CONFIG_FILE

BODY_S = 30.0


@dataclass(frozen=True)
class Gate:
    """What a request must bring.

    Attributes:
        api_key: of every request but those for /health; empty where none is needed.
        max_body_bytes: the largest body.
    """

    api_key: str
    max_body_bytes: int

    async def check_key(self, request: Request) -> None:
        """Raises `RefusedError` (401) without the key; takes the same time for every wrong one."""
        given = request.headers.get("authorization", "").encode("latin-1")
        if self.api_key and not hmac.compare_digest(given, f"Bearer {self.api_key}".encode()):
            raise RefusedError(401, "the header `Authorization: Bearer KEY` lacks the key", code="invalid_api_key")

    async def body(self, request: Request) -> Any:
        """Reads a JSON body; raises `RefusedError` where it is too large, too slow or no JSON."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise RefusedError(415, "the body must be JSON, with the header `Content-Type: application/json`")
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_S):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > self.max_body_bytes:
                        raise RefusedError(413, f"the body is larger than {self.max_body_bytes} bytes; shorten it")
        except TimeoutError:
            raise RefusedError(408, f"the body did not come within {BODY_S:.0f} s") from None
        try:
            return parse_json(bytes(body))
        except ValueError as error:
            raise RefusedError(400, f"the body: {error}") from None


class EventStream(StreamingResponse):
    """Server-sent events of one answer, which is closed also when the client goes away."""

    def __init__(self, answering: Answering, with_usage: bool) -> None:
        super().__init__(_events(answering, with_usage), media_type="text/event-stream")
        self._answering = answering

    async def __call__(self, *args: Any) -> None:
        try:
            await super().__call__(*args)
        finally:
            self._answering.close()


async def _events(answering: Answering, with_usage: bool) -> AsyncIterator[str]:
    try:
        async for piece in answering.pieces(with_usage):
            yield f"data: {json.dumps(piece, ensure_ascii=False)}\n\n"
    except RefusedError as error:
        yield f"data: {json.dumps(error.body())}\n\n"
    yield "data: [DONE]\n\n"


def counting(app: ASGIApp, counter: Counter) -> ASGIApp:
    """Counts replies by status."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                counter.labels(message["status"]).inc()
            await send(message)

        await app(scope, receive, counted)

    return call


def make_app(service: Service, gate: Gate) -> FastAPI:
    """Makes the application; the scheduler runs while it does, and answers what it owes before it ends."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.scheduler.start()
        yield
        await asyncio.to_thread(service.scheduler.stop)

    app = FastAPI(lifespan=lifespan, openapi_url=None)
    app.add_middleware(counting, counter=service.meters.replies)
    guarded = APIRouter(dependencies=[Depends(gate.check_key)])

    async def answer(request: Request, form: type[Asked]) -> Response:
        asked = parsed(form, await gate.body(request))
        answering = service.answering(asked, chat=form is AskedChat)
        if asked.stream:
            return EventStream(answering, bool(asked.stream_options and asked.stream_options.include_usage))
        try:
            return JSONResponse(await _unless_gone(request, answering))
        finally:
            answering.close()

    @guarded.post("/v1/completions")
    async def complete(request: Request) -> Response:
        return await answer(request, AskedText)

    @guarded.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        return await answer(request, AskedChat)

    @guarded.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [_about(service, name) for name in service.house.adapters]}

    @guarded.get("/v1/models/{name}")
    async def model(name: str) -> dict[str, Any]:
        return _about(service, name)

    @guarded.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(service.meters.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/health")
    async def health() -> Response:
        alive = service.scheduler.alive
        return JSONResponse({"status": "ok" if alive else "stopped"}, 200 if alive else 503)

    @app.exception_handler(RefusedError)
    async def refused(_: Request, error: RefusedError) -> Response:
        return JSONResponse(error.body(), error.status)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        problem = RefusedError(error.status_code, f"{request.method} {request.url.path:.80}: {error.detail}")
        return JSONResponse(problem.body(), error.status_code, error.headers)

    app.include_router(guarded)
    return app


async def _unless_gone(request: Request, answering: Answering) -> dict[str, Any]:
    """Returns the whole answer, or ends early when the client goes away."""
    whole, gone = asyncio.ensure_future(answering.whole()), asyncio.ensure_future(_gone(request))
    await asyncio.wait((whole, gone), return_when=asyncio.FIRST_COMPLETED)
    gone.cancel()
    if whole.done():
        return whole.result()
    whole.cancel()
    raise RefusedError(499, "the client went away")


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _about(service: Service, name: str) -> dict[str, Any]:
    adapter = service.adapter(name)
    return {
        "id": name,
        "object": "model",
        "created": int((adapter.folder / CONFIG_FILE).stat().st_mtime),
        "owned_by": "ptmoe",
        "method": adapter.config.method,
        "task": adapter.config.task,
        "base": adapter.config.base.name,
    }
