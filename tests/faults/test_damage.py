"""What a read notices of damaged bytes is what `pipeline/read/DAMAGE.md` says, measured again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.errors import PermanentAssetError
from pipeline.read.access import Access
from pipeline.read.raster import attempt
from pipeline.types import Asset
from tests.faults._damage import render
from tests.faults._worlds import CHECKOUT


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_the_table_of_damage_is_what_reads_show_today() -> None:
    document = (CHECKOUT / "pipeline" / "read" / "DAMAGE.md").read_text(encoding="utf-8")
    written = document[document.index("| format |") :]
    assert written == render(), "measure again: python -m tests.faults._damage"


def test_a_jpeg_2000_cut_in_half_is_refused_at_every_read(shared_data: Path) -> None:
    asset = Asset("scl", str(shared_data / "raster" / "bad" / "derived" / "truncated_half.jp2"))

    def refused(_: int) -> bool:
        try:
            attempt(asset, Access(), "item", lambda raster: raster.read(slice(0, 915), slice(0, 915)))
        except PermanentAssetError as error:
            return "damaged or not readable" in error.cause
        return False

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(refused, range(24)))
