"""What lies in a bucket opens as what lies in a folder does, and a partition that is replaced is never read half."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import AssetError, PermanentAssetError
from pipeline.read.access import Access
from pipeline.read.partitions import Partition, open_table, read_heads
from pipeline.results.float_years import refresh_float_years
from pipeline.results.profiles import open_profiles
from pipeline.write.store import Store, open_store
from tests.argo_partitions import Cast, water, write_partition
from tests.servers.weed import S3Server

CASTS = [Cast(2900001, cycle, 10.0, 60.0 + cycle, values=water(np.arange(5.0, 2000.0, 2.0))) for cycle in range(20)]


@pytest.fixture
def bucket(s3_environment: S3Server, s3_bucket: str) -> Store:
    return open_store(f"s3://{s3_bucket}/{uuid.uuid4().hex}", endpoint=s3_environment.endpoint)


def put(store: Store, folder: Path, casts: list[Cast], generation: int) -> str:
    """A partition in the bucket; gives the address of its levels."""
    path = write_partition(folder, "290000x", casts, generation=generation)
    for table in sorted(path.parent.iterdir()):
        store.put_file(table, f"data/argo/290000x/static/{table.name}")
    return f"{store.uri}/data/argo/290000x/static/levels.parquet"


@pytest.mark.long
@pytest.mark.parametrize("said", [True, False])
def test_a_bucket_opens_as_a_folder_does(bucket: Store, s3_environment: S3Server, tmp_path: Path, said: bool) -> None:
    """said: the endpoint is given; else the environment has it."""
    access = Access(endpoint=s3_environment.endpoint if said else None)
    put(bucket, tmp_path, CASTS, 1)
    assert refresh_float_years(bucket, "argo", access) == 1
    here, there = (
        open_profiles(where, endpoint=access.endpoint, bbox=(60, 0, 65, 20)) for where in (str(tmp_path), bucket.uri)
    )
    assert there.sizes == {"profile": 6, "level": 998}
    np.testing.assert_array_equal(there.TEMP.values, here.TEMP.values)


@pytest.mark.long
def test_a_partition_that_is_replaced_while_it_is_open_is_refused(
    bucket: Store, s3_environment: S3Server, tmp_path: Path
) -> None:
    access = Access(endpoint=s3_environment.endpoint)
    href = put(bucket, tmp_path, CASTS, 1)
    found = open_profiles(bucket.uri, endpoint=access.endpoint)

    def read_on() -> None:
        with open_table(href, access) as file:
            put(bucket, tmp_path / "newer", CASTS[:3], 2)
            file.read(columns=["temp"])

    with pytest.raises(AssetError):
        read_on()
    with pytest.raises(PermanentAssetError, match="generation 2"):
        found.TEMP.compute()
    assert len(read_heads(Partition(href, access)).table) == 3


@pytest.mark.long
def test_a_partition_that_is_not_there_is_told(bucket: Store, s3_environment: S3Server) -> None:
    with pytest.raises(PermanentAssetError, match="there is no such file"):
        read_heads(Partition(f"{bucket.uri}/nothing/levels.parquet", Access(endpoint=s3_environment.endpoint)))
