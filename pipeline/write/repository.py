"""Where Icechunk keeps a repository: a folder of the output, or a prefix of its bucket with the same credentials."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import Any

import icechunk
import zarr
from botocore.session import Session

from pipeline.errors import StoreError
from pipeline.write.s3 import S3Store
from pipeline.write.store import FolderStore, Store


def open_repository(store: Store, key: str, *, create: bool = False) -> icechunk.Repository:
    """The Icechunk repository at a key of the output; made, where there is none, if `create`.

    Raises icechunk.IcechunkError.
    """
    if "ICECHUNK_LOG" not in os.environ:
        # It warns at every opening of a folder that two commits at once may lose one: the next run makes it again.
        icechunk.set_logs_filter("error")
    storage = _storage(store, key)
    return icechunk.Repository.open_or_create(storage) if create else icechunk.Repository.open(storage)


def unreadable(store: Store, key: str) -> Iterator[tuple[str, str]]:
    """(array, cause) for each array of the newest snapshot that cannot be read whole; a shard in memory at a time."""
    try:
        group = zarr.open_group(open_repository(store, key).readonly_session("main").store, mode="r")
        arrays = dict(group.arrays())
    except (icechunk.IcechunkError, ValueError, LookupError, OSError) as error:
        yield "", _line(error)
        return
    for name, array in sorted(arrays.items()):
        try:
            steps = array.shards or array.chunks
            for corner in product(*(range(0, length, step) for length, step in zip(array.shape, steps, strict=True))):
                array[tuple(slice(first, first + step) for first, step in zip(corner, steps, strict=True))]
        except (icechunk.IcechunkError, ValueError, RuntimeError, OSError) as error:
            yield name, _line(error)


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _storage(store: Store, key: str) -> icechunk.Storage:
    if isinstance(store, FolderStore):
        return icechunk.local_filesystem_storage(f"{store.root}/{key}")
    if not isinstance(store, S3Store):
        raise StoreError(f"{store.uri}: Icechunk keeps repositories in folders and on S3 only")
    endpoint = store.endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    credentials: dict[str, Any] = {"from_env": True}
    if store.anonymous:
        credentials = {"anonymous": True}
    elif store.profile:
        credentials = {"get_credentials": partial(_credentials, store.profile)}
    return icechunk.s3_storage(
        bucket=store.bucket,
        prefix=f"{store.prefix}/{key}" if store.prefix else key,
        region=region or ("us-east-1" if endpoint else None),
        endpoint_url=endpoint,
        allow_http=bool(endpoint and endpoint.startswith("http://")),
        force_path_style=endpoint is not None,  # other servers rarely have a DNS name per bucket
        **credentials,
    )


def _credentials(profile: str) -> icechunk.S3StaticCredentials:
    """Those of a profile of the AWS configuration, asked for by the process that needs them."""
    found = Session(profile=profile).get_credentials()
    if found is None:
        raise StoreError(f"profile {profile!r}: found no credentials; correct it in the AWS configuration")
    frozen = found.get_frozen_credentials()
    return icechunk.S3StaticCredentials(frozen.access_key, frozen.secret_key, frozen.token)
