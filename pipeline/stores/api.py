"""A small HTTP API over PostgreSQL and Redis, read only: floats, profiles, nearest, latest; described at /openapi.json.

PostgreSQL writes the JSON (see `queries`), so an answer passes through as text. A page goes on after the last item of
the one before, so nothing is shown twice or left out because others load meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, cast

import psycopg
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Path, Query, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from psycopg_pool import PoolTimeout

from pipeline.config.stores import StoresConfig
from pipeline.stores import queries
from pipeline.stores.answers import Float, Health, NearProfile, Paged, Profile, ProfileSummary, Region
from pipeline.stores.asked import (
    FloatsAsked,
    NearestAsked,
    ProfileAsked,
    ProfilesAsked,
    cursor_of,
    identity_of,
    number_after,
    place_after,
)
from pipeline.stores.backend import Backend, NotLoadedError

_MISSING: dict[int | str, dict[str, Any]] = {404: {"description": "There is none."}}
_UNLOADED = "nothing is loaded: groundswell load CONFIG"


def _backend(request: Request) -> Backend:
    return cast("Backend", request.app.state.backend)


Asked = Annotated[Backend, Depends(_backend)]
Wmo = Annotated[int, Path(ge=1, le=9_999_999)]
router = APIRouter()


def make_api(stores: StoresConfig, origins: Sequence[str] = ()) -> FastAPI:
    """The application; origins: of web pages that may ask from a browser."""

    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncIterator[None]:
        backend = Backend(stores)
        backend.pool.open()
        app.state.backend = backend
        try:
            yield
        finally:
            backend.close()

    app = FastAPI(title="Groundswell: Argo profiles", lifespan=living)
    app.include_router(router)
    app.add_middleware(CORSMiddleware, allow_origins=list(origins), allow_methods=["GET"])
    app.add_exception_handler(NotLoadedError, lambda _, error: _refused(404, str(error)))
    app.add_exception_handler(PoolTimeout, lambda _, _error: _refused(503, "PostgreSQL cannot be reached"))
    app.add_exception_handler(psycopg.Error, lambda _, error: _refused(*_told(error)))
    return app


@router.get("/health", response_model=Health)
def health(backend: Asked) -> Response:
    """Whether there is anything to answer from."""
    with backend.connection() as connection:
        counts = queries.counts(connection)
    return JSONResponse({"postgres": "ok", "redis": backend.redis(), **counts})


@router.get("/floats", response_model=Paged[Float])
def floats(backend: Asked, asked: Annotated[FloatsAsked, Query()]) -> Response:
    """Floats by number: all, or those that were last known to be in a box."""
    try:
        after = number_after(asked.cursor)
    except ValueError:
        raise _no_cursor() from None
    with backend.connection() as connection:
        return _paged(queries.floats(connection, asked.box, after, asked.limit))


@router.get("/floats/{wmo}", response_model=Float, responses=_MISSING)
def one_float(backend: Asked, wmo: Wmo) -> Response:
    """One float."""
    with backend.connection() as connection:
        return _found(queries.float_of(connection, wmo), f"no float {wmo} is loaded")


@router.get("/floats/{wmo}/latest", response_model=list[Profile], responses=_MISSING)
def latest_of_float(backend: Asked, wmo: Wmo) -> Response:
    """The latest profiles of a float, one a cast; header X-Cache: whether Redis had them."""
    return _kept(*backend.document(f"float:{wmo}"))


@router.get("/regions", response_model=list[Region])
def regions(backend: Asked) -> Response:
    """The regions of the config."""
    with backend.connection() as connection:
        return JSONResponse(queries.regions(connection))


@router.get("/regions/{name}/latest", response_model=list[Profile], responses=_MISSING)
def latest_of_region(backend: Asked, name: Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]) -> Response:
    """The latest profiles of a region, one a cast; header X-Cache: whether Redis had them."""
    return _kept(*backend.document(f"region:{name}"))


@router.get("/profiles", response_model=Paged[ProfileSummary])
def profiles(backend: Asked, asked: Annotated[ProfilesAsked, Query()]) -> Response:
    """Profiles without their measurements, newest first; those without a time last."""
    try:
        after = place_after(asked.cursor)
    except ValueError:
        raise _no_cursor() from None
    with backend.connection() as connection:
        return _paged(queries.profiles(connection, asked.filter(), after, asked.limit))


@router.get("/profiles/{name}", response_model=Profile, responses=_MISSING)
def one_profile(backend: Asked, name: str, asked: Annotated[ProfileAsked, Query()]) -> Response:
    """One profile by its id, with its measurements."""
    identity = identity_of(name)
    if identity is None:
        raise HTTPException(
            404, "no such id; expected wmo_cycle, with D when descending, _kind_index: 2902269_1_core_0"
        )
    with backend.connection() as connection:
        found = queries.profile_of(connection, identity, originals=asked.originals)
    return _found(found, f"no profile {name} is loaded")


@router.get("/nearest", response_model=list[NearProfile])
def nearest(backend: Asked, asked: Annotated[NearestAsked, Query()]) -> Response:
    """Profiles by their distance from a place, nearest first; one a cast, or those of a kind."""
    with backend.connection() as connection:
        found = queries.nearest(connection, (asked.latitude, asked.longitude), asked.filter(), asked.limit)
    return _json(f"[{','.join(found)}]")


def _json(text: str | bytes, **headers: str) -> Response:
    return Response(text, media_type="application/json", headers=headers)


def _kept(document: bytes, said: str) -> Response:
    return _json(document, **{"X-Cache": said})


def _found(text: str | None, otherwise: str) -> Response:
    if text is None:
        raise NotLoadedError(otherwise)
    return _json(text)


def _paged(page: queries.Page) -> Response:
    return _json(f'{{"items":[{",".join(page.items)}],"next":{json.dumps(cursor_of(page.after))}}}')


def _refused(status: int, detail: str) -> JSONResponse:
    return JSONResponse({"detail": detail}, status)


def _no_cursor() -> HTTPException:
    return HTTPException(422, "cursor: found none of ours; expected `next` of the page before")


def _told(error: Exception) -> tuple[int, str]:
    """What went wrong in PostgreSQL, without a word of the statement or the server."""
    if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.InvalidSchemaName):
        return 503, _UNLOADED
    if isinstance(error, psycopg.errors.QueryCanceled):
        return 503, "the answer took too long: ask for less"
    if isinstance(error, psycopg.OperationalError):
        return 503, "PostgreSQL lost the request: try again"
    return 500, f"PostgreSQL refused the request: {type(error).__name__}"
