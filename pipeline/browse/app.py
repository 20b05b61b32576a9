"""The application: the page, its questions, map tiles, and the output's static STAC. Everything is read only.

A browser is not trusted: what it sends are names that are looked up among the current items, numbers within bounds, and
keys of the catalogue. Only pages of this machine, and those that are named, may read what is answered.
"""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from fastapi import Path as InPath
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles

from pipeline.browse.answers import Samples, layer_answer, product_answers
from pipeline.browse.asked import BoxAsked, ItemsAsked, PeriodAsked, PointAsked, ProfileAsked, SeriesAsked, WmoInPath
from pipeline.browse.files import serve_file
from pipeline.browse.floats import Cast, Floats
from pipeline.browse.outlines import outlines
from pipeline.browse.points import ask_point, ask_series
from pipeline.browse.shelf import Shelf, rows_of
from pipeline.browse.tiles import MAX_ITEMS, Place, bounds_degrees, draw_tile, empty_tile
from pipeline.errors import ConfigError, GroundswellError

MAX_ZOOM = 22
STAC_BROWSER = "https://radiantearth.github.io"
"""Where the public STAC Browser is served from: a person may look at the catalogue with it."""
LOCAL_PAGES = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?"
POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Nothing is loaded from elsewhere; data: is the empty picture that Leaflet puts for a tile that is not wanted now."""
_HEADERS = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
ASSETS = Path(str(files("pipeline.browse") / "assets"))
router = APIRouter()


class Browser:
    """What the answers come from."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.samples = Samples(shelf)
        self.floats = Floats(shelf.store, shelf.access)
        self.drawing = threading.BoundedSemaphore(max(2, os.cpu_count() or 2))
        """Map tiles at once: as many as there are cores, so that their pixels are few."""


def _browser(request: Request) -> Browser:
    return cast("Browser", request.app.state.browser)


Asked = Annotated[Browser, Depends(_browser)]


def make_app(shelf: Shelf, origins: Sequence[str] = (), hosts: Sequence[str] = ()) -> FastAPI:
    """The application. origins: of further pages that may ask; hosts: names it answers to, any where none is given."""

    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncIterator[None]:
        app.state.browser = Browser(shelf)
        try:
            yield
        finally:
            shelf.close()

    # The pages that FastAPI makes of an API load their script from elsewhere.
    app = FastAPI(title="Groundswell: an output", lifespan=living, docs_url=None, redoc_url=None)
    app.include_router(router)
    app.mount("/assets", StaticFiles(directory=ASSETS))
    app.middleware("http")(_guarded)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=[STAC_BROWSER, *origins],
        allow_origin_regex=LOCAL_PAGES,
        allow_methods=["GET", "HEAD"],
        allow_headers=["Range"],
        expose_headers=["Content-Range", "Accept-Ranges"],
        allow_private_network=True,
    )
    if hosts:  # a foreign page that gives its own name this machine's address is not let in
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    app.add_exception_handler(ConfigError, lambda _, error: _refused(404, error))
    app.add_exception_handler(GroundswellError, lambda _, error: _refused(502, error))
    return app


async def _guarded(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await answer(request)
    response.headers.update(_HEADERS)
    return response


@router.get("/", include_in_schema=False)
def page() -> Response:
    """The page."""
    text = (ASSETS / "index.html").read_text(encoding="utf-8")
    return Response(text, media_type="text/html; charset=utf-8", headers={"Cache-Control": "no-cache"})


@router.get("/api/products")
def products(browser: Asked) -> Response:
    """Every product with its periods, how many items it has, and where they lie; `version` changes with them."""
    return _json(product_answers(browser.shelf))


@router.get("/api/layers")
def layers(browser: Asked, asked: Annotated[PeriodAsked, Query()]) -> Response:
    """What can be drawn of a product and period, with ranges, colours, units and rights."""
    items = browser.shelf.items()
    rows = rows_of(items, asked.product, asked.period)
    return _json(layer_answer(items, rows, browser.samples.of(items, asked.product, asked.period)))


@router.get("/api/items")
def items_there(browser: Asked, asked: Annotated[ItemsAsked, Query()]) -> Response:
    """Outlines of the items of a product and period in a box, with figures of quality; GeoJSON."""
    items = browser.shelf.items()
    return _json(outlines(items, rows_of(items, asked.product, asked.period), asked.box))


@router.get("/api/point")
def point(browser: Asked, asked: Annotated[PointAsked, Query()]) -> Response:
    """Values of every layer at a place, with quality."""
    items = browser.shelf.items()
    rows = rows_of(items, asked.product, asked.period)
    sample = browser.samples.of(items, asked.product, asked.period)
    day = sample.layer(asked.layer).day if asked.layer else None
    return _json(ask_point(browser.shelf, items, rows, (asked.lon, asked.lat), day))


@router.get("/api/series")
def series(browser: Asked, asked: Annotated[SeriesAsked, Query()]) -> Response:
    """One band at a place in every period."""
    items = browser.shelf.items()
    place = asked.lon, asked.lat
    return _json(ask_series(browser.shelf, items, _known(browser, asked.product), asked.band, place))


def _named(product: str, period: str, layer: str) -> tuple[str, str, str]:
    return product, period, layer


def _place(
    zoom: Annotated[int, InPath(ge=0, le=MAX_ZOOM)],
    column: Annotated[int, InPath(ge=0)],
    row: Annotated[int, InPath(ge=0)],
) -> Place:
    if max(column, row) >= 2**zoom:
        raise ConfigError(f"no tile {zoom}/{column}/{row}: zoom {zoom} has {2**zoom} columns and rows")
    return zoom, column, row


@router.get("/tiles/{product}/{period}/{layer}/{zoom}/{column}/{row}.png")
def tile(
    browser: Asked,
    named: Annotated[tuple[str, str, str], Depends(_named)],
    place: Annotated[Place, Depends(_place)],
    size: Literal["256", "512"] = "256",
) -> Response:
    """A map tile (EPSG:3857); header X-Items: how many items it touches, too many of which are not drawn."""
    product, period, name = named
    shelf = browser.shelf
    items = shelf.items()
    layer = browser.samples.of(items, product, period).layer(name)
    touched = items.within(items.periods[product, period], bounds_degrees(place))
    picture = empty_tile(int(size))
    if 0 < len(touched) <= MAX_ITEMS:
        with browser.drawing:
            picture = draw_tile(shelf.outputs(items, touched), layer, place, int(size), shelf.access)
    headers = {"X-Items": str(len(touched)), "Cache-Control": "private, max-age=3600"}
    return Response(picture, media_type="image/png", headers=headers)


@router.get("/api/floats")
def floats(browser: Asked, asked: Annotated[BoxAsked, Query()]) -> Response:
    """Floats whose last place lies in a box."""
    return _json(browser.floats.within(_known(browser, asked.product), asked.box))


@router.get("/api/floats/{wmo}")
def one_float(browser: Asked, wmo: WmoInPath, product: str) -> Response:
    """Every profile of a float, without its levels."""
    return _json(browser.floats.profiles(_known(browser, product), wmo))


@router.get("/api/profile")
def profile(browser: Asked, asked: Annotated[ProfileAsked, Query()]) -> Response:
    """The levels of one profile: best values, flags, and what the file says."""
    cast_ = Cast(asked.wmo, asked.cycle, asked.direction, asked.kind, asked.index)
    return _json(browser.floats.profile(_known(browser, asked.product), cast_))


@router.api_route("/stac/{key:path}", methods=["GET", "HEAD"])
def stac(
    browser: Asked, request: Request, key: str, asked: Annotated[str | None, Header(alias="Range")] = None
) -> Response:
    """The catalogue, its items and their files, as they lie in the output."""
    shelf = browser.shelf
    return serve_file(shelf.store, shelf.access, key, asked, head=request.method == "HEAD")


def _known(browser: Browser, product: str) -> str:
    """The product's name, one of those that are there, since it becomes part of a key. Raises ConfigError."""
    items = browser.shelf.items()
    if product not in items.products:
        raise ConfigError(f"no product {product!r}; found {', '.join(items.products)}")
    return product


def _json(answer: Any) -> Response:
    return JSONResponse(answer, headers={"Cache-Control": "no-cache"})


def _refused(status: int, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status)
