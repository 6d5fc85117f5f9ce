"""The API under test, on FastAPI: one key of the store, served as it is stored."""

import asyncio
import logging
import os
import platform
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException

KEY = os.environ.get("KEY", "cached-value")
STORE_DEADLINE_S = 5
ERRORS = {404: "not_found", 405: "method_not_allowed", 500: "internal", 503: "store_unavailable"}
ABOUT = {
    "component": "fastapi",
    "runtime": f"{platform.python_implementation()} {platform.python_version()}",
    "framework": f"FastAPI {version('fastapi')}",
    "toolkit": f"Starlette {version('starlette')}",
    "server": f"gunicorn {version('gunicorn')}, uvicorn {version('uvicorn')}, uvicorn-worker {version('uvicorn-worker')}",
    "event_loop": f"uvloop {version('uvloop')}",
    "http_parser": f"httptools {version('httptools')}",
    "store_client": f"redis-py {version('redis')}",
    "store_parser": f"hiredis {version('hiredis')}",
    "workers": os.environ.get("WORKERS", "1"),
}

log = logging.getLogger("fastapi-app")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    pool = BlockingConnectionPool(
        host=os.environ.get("STORE_HOST", "127.0.0.1"),
        port=int(os.environ.get("STORE_PORT", "6379")),
        max_connections=int(os.environ.get("STORE_CONNECTIONS", "100")),
        # STORE_DEADLINE_S bounds the whole operation with one timer. redis-py's own
        # limits would be three, and on Python 3.11 a task for each command.
        timeout=None,
        socket_timeout=None,
        socket_connect_timeout=STORE_DEADLINE_S,
        # Once and at once: enough to replace a connection that died in the pool, too
        # little to keep a request waiting for a store that is gone.
        retry=Retry(NoBackoff(), retries=1),
    )
    # Connections are made when first needed, so the app starts without a store.
    app.state.store = Redis.from_pool(pool)
    app.state.store_error_logged_at = -1.0
    yield
    await app.state.store.aclose()


# No OpenAPI pages and no redirects: every path but the three below is a 404.
app = FastAPI(lifespan=lifespan, openapi_url=None, redirect_slashes=False)
get = partial(app.api_route, methods=["GET", "HEAD"])


@get("/cached-value")
async def cached_value(request: Request) -> Response:
    async with asyncio.timeout(STORE_DEADLINE_S):
        value = await request.app.state.store.get(KEY)
    if value is None:
        raise HTTPException(404)
    return Response(value, media_type="application/octet-stream")


@get("/healthz")
async def healthz(request: Request) -> Response:
    async with asyncio.timeout(STORE_DEADLINE_S):
        await request.app.state.store.ping()
    return JSONResponse({"status": "ok"})


@get("/about")
async def about() -> Response:
    return JSONResponse(ABOUT)


def error(status: int) -> Response:
    headers = {"Allow": "GET, HEAD"} if status == 405 else None
    return JSONResponse({"error": ERRORS[status]}, status, headers)


@app.exception_handler(HTTPException)
async def http_error(_: Request, exc: HTTPException) -> Response:
    return error(exc.status_code)


@app.exception_handler(RedisError)
@app.exception_handler(TimeoutError)
async def store_error(request: Request, exc: Exception) -> Response:
    # A dead store fails every request: one line a second says it as well as ten thousand.
    state, now = request.app.state, time.monotonic()
    if now - state.store_error_logged_at >= 1:
        state.store_error_logged_at = now
        log.warning("store unavailable: %s", str(exc) or f"no answer in {STORE_DEADLINE_S} s")
    return error(503)


@app.exception_handler(Exception)
async def unexpected_error(_: Request, __: Exception) -> Response:
    # Starlette raises the exception again after this answer, and uvicorn logs its trace.
    return error(500)
