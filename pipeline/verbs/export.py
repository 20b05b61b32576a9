"""`groundswell export`: the committed files under the names and in the folders that other programs look for."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, NothingToDoError, StoreError
from pipeline.execute.records.runs import current_by_product, current_items
from pipeline.verbs import _glacier_flow as flow
from pipeline.verbs._answer import Answer
from pipeline.verbs._output import open_output
from pipeline.verbs._template import check_template, template_copies
from pipeline.write.sound import get_item, resolve
from pipeline.write.store import Store

Document = Mapping[str, Any]
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""What a path makes of `s3://`; a drive has one letter."""


def run(options: argparse.Namespace) -> Answer:
    """Copy every current picture of a glaciers product into the layout of the Greenland glacier flow.

    Files that are there already with the same bytes stay untouched; nothing else in the folder is. Raises ConfigError
    where several products are there and none is named, and where two files would be one; NothingToDoError where there
    is nothing.
    """
    if _ADDRESS.match(str(options.to)):
        raise ConfigError(f"--to: found {options.to}; allowed: a folder of this machine, to be uploaded from there")
    if options.template is not None:
        return _by_template(options)
    store = open_output(options)
    keys = _chosen(current_by_product(store), options.product, store.uri)
    regions: dict[tuple[str, str], list[flow.Picture]] = {}
    made: dict[str, tuple[str, str]] = {}
    written = 0
    for key in keys:
        item = get_item(store, key)
        for path, asset, one in _copies(flow.pictures(item, _scenes(store, key, item))):
            checksum = item["assets"][asset]["file:checksum"]
            known, owner = made.get(path, (checksum, ""))
            if known != checksum:
                raise ConfigError(
                    f"{path}: found another picture of that name in {owner} and in {item['id']}; this layout has one "
                    "for all periods: use --template with {tile}, {period} and {layer}"
                )
            if path in made:
                continue
            made[path] = checksum, item["id"]
            written += _put(options.to / path, _read(store, key, item, asset))
            if one is not None:
                regions.setdefault((one.sensor, one.region), []).append(one)
    for pictures in regions.values():
        for path, text in flow.side_files(pictures):
            _put(options.to / path, text.encode("utf-8"))
    count = sum(map(len, regions.values()))
    return Answer(
        f"export: {count} pictures of {len(regions)} regions in {options.to}: {written} files copied, "
        f"{len(made) - written} as they were"
    )


def _by_template(options: argparse.Namespace) -> Answer:
    """Copy every GeoTIFF of the current items of a product, of any kind, to the path that a template says."""
    check_template(options.template)
    store = open_output(options)
    chosen = set(_chosen(current_by_product(store), options.product, store.uri))
    paths: dict[str, str] = {}
    written = 0
    for job_id, key in sorted(current_items(store).items()):
        if key not in chosen:
            continue
        item = get_item(store, key)
        for path, asset in template_copies(options.template, item, job_id):
            if path in paths:
                raise ConfigError(f"--template: {path} would be a file of {paths[path]} and of {job_id}; add a field")
            paths[path] = job_id
            written += _put(options.to / path, _read(store, key, item, asset))
    same = len(paths) - written
    return Answer(f"export: {len(paths)} files in {options.to}: {written} copied, {same} as they were")


def _chosen(products: Mapping[str, Collection[str]], asked: str | None, uri: str) -> Collection[str]:
    if not products:
        raise NothingToDoError(f"{uri}: found no current item; expected the output of a finished run")
    if asked is None and len(products) > 1:
        raise ConfigError(f"{uri}: found the products {', '.join(products)}; choose one with --product")
    name = asked or next(iter(products))
    if name not in products:
        raise ConfigError(f"{uri}: found no product {name}; allowed: {', '.join(products)}")
    return products[name]


def _copies(pictures: list[flow.Picture]) -> Iterator[tuple[str, str, flow.Picture | None]]:
    """(path in the layout, asset key, picture) of every file of an item; the template is no picture."""
    for one in pictures:
        yield flow.picture_path(one), one.asset, one
    if pictures:
        yield flow.template_path(pictures[0].sensor, pictures[0].region), "template", None


def _scenes(store: Store, key: str, item: Document) -> list[Document]:
    if "scenes" not in item["assets"]:
        return []
    return list(json.loads(_read(store, key, item, "scenes"))["features"])


def _read(store: Store, key: str, item: Document, asset: str) -> bytes:
    """The bytes of an asset, as they were committed. Raises StoreError naming it where they are not."""
    where = resolve(key, item["assets"][asset]["href"])
    data = store.get_bytes(where)
    if f"1220{hashlib.sha256(data).hexdigest()}" != item["assets"][asset]["file:checksum"]:
        raise StoreError(f"{store.uri}, key {where}: found other bytes than were committed; see `groundswell verify`")
    return data


def _put(path: Path, data: bytes) -> bool:
    """Whether the file had to be written; whoever reads meanwhile finds the old one or the new one, whole."""
    try:
        if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"--to: {path}: cannot be written ({error.strerror}); give a folder that can be") from error
    return True
