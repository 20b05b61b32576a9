"""A search finds a float's files where they lie, with the versions that stand in them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from shapely import box

from pipeline.config import SourceConfig
from pipeline.config.gdac import Kind
from pipeline.errors import CatalogError, ConfigError
from pipeline.mirror.check import date_update
from pipeline.mirror.floats import read_beside, search_floats
from pipeline.search.argo import FloatSearch, selection_of
from tests.argo_indices import CORE, GdacFolder, index_text, profile, row
from tests.mirror.gdacs import files_below
from tests.servers.faulty import run_faulty

KINDS: tuple[Kind, ...] = ("core", "bgc", "synthetic")


def found_in(source: SourceConfig) -> FloatSearch:
    return search_floats("argo", source, selection_of(source))


@pytest.fixture
def gdac(tmp_path: Path) -> GdacFolder:
    """Two floats, of which one crosses the antimeridian."""
    made = GdacFolder(tmp_path / "gdac")
    made.add(profile(2902269, 1), date="20200101000000")
    made.add(profile(2902269, 2), "20220101000000", date="20200111000000", place=(12, 72))
    made.add(profile(4902252, 1, dac="jma"), place=(-5, 179))
    made.add(profile(4902252, 2, dac="jma"), place=(-6, -178))
    made.publish()
    return made


def test_an_item_is_a_float_and_its_assets_are_its_files(gdac: GdacFolder) -> None:
    found = found_in(SourceConfig(gdac=(str(gdac.root),)))
    item = found.items[0]
    assert [one.id for one in found.items] == ["2902269", "4902252"]
    assert (item.collection, item.source, item.updated) == ("argo", "argo", "20220101000000")
    assert item.time.isoformat() == "2020-01-11T00:00:00+00:00"
    assert {key: (one.href, one.checksum) for key, one in item.assets.items()} == {
        profile(2902269, 1): (f"{gdac.root}/dac/{profile(2902269, 1)}", "20210101000000"),
        profile(2902269, 2): (f"{gdac.root}/dac/{profile(2902269, 2)}", "20220101000000"),
    }
    assert all(Path(one.href).is_file() for one in item.assets.values())
    assert item.properties == {
        "argo:dac": "incois",
        "argo:index": "20230101000000",
        "argo:complete": True,
        "argo:whole": True,
        "argo:roots": [str(gdac.root)],
        "argo:project": "ARGO",
    }


def test_a_float_that_crosses_the_antimeridian_has_a_narrow_box(gdac: GdacFolder) -> None:
    ring = found_in(SourceConfig(gdac=(str(gdac.root),))).items[1].geometry["coordinates"][0]
    assert {x for x, _ in ring} == {179.0, 182.0}


def test_over_http_the_same_is_found_also_where_an_event_loop_runs(gdac: GdacFolder) -> None:
    with run_faulty({f"/{name}": data for name, data in files_below(gdac.root).items()}) as server:
        source = SourceConfig(gdac=(f"{server.address}/",))

        async def notebook() -> FloatSearch:
            return found_in(source)

        found = asyncio.run(notebook())
        assert found.table["href"].to_pylist()[0] == f"{server.address}/dac/{profile(2902269, 1)}"
        assert not [request.path for request in server.requests if "/dac/" in request.path]
    assert [one.id for one in found.items] == ["2902269", "4902252"]


def test_files_that_no_index_lists_are_told_or_read_with_their_own_dates(shared_data: Path) -> None:
    """Eleven on the real disk; where they are read, the delayed ones among them count in place of listed ones."""
    root = shared_data / "argo" / "gdac"
    told, read = (found_in(SourceConfig(gdac=(str(root),), kinds=KINDS, unlisted=word)) for word in ("report", "read"))
    assert (told.table.num_rows, read.table.num_rows) == (39, 50)
    assert told.notes[0].startswith("11 files not in the index")
    extra = set(read.table["path"].to_pylist()) - set(told.table["path"].to_pylist())
    rows = {one["path"]: one for one in read.table.to_pylist()}
    for path in extra:
        assert rows[path]["version"] == date_update(path, (root / "dac" / path).read_bytes())
    assert rows["coriolis/3902131/profiles/BD3902131_001.nc"]["current"]
    assert not rows["coriolis/3902131/profiles/BR3902131_001.nc"]["current"]


def test_one_float_of_a_bucket_is_not_all_that_is_known_of_it(gdac: GdacFolder) -> None:
    source = SourceConfig(gdac=(str(gdac.root),), floats=(2902269,))
    assert found_in(source).items[0].properties["argo:complete"] is False


def test_what_area_time_and_data_centre_leave_out_of_a_bucket_is_told_beside_it(gdac: GdacFolder) -> None:
    """Only of buckets that are asked for: the others have no job."""
    gdac.add(profile(2902268, 1), place=(50, 50))
    gdac.publish()
    source = SourceConfig(gdac=(str(gdac.root),))
    east, third = (box(lon - 1, 0, lon + 1, 60) for lon in (72, 50))
    for shapes, files, beside in (
        ((east,), [profile(2902269, 2)], [profile(2902268, 1), profile(2902269, 1)]),
        ((third,), [profile(2902268, 1)], [profile(2902269, 1), profile(2902269, 2)]),
    ):
        (item,) = search_floats("argo", source, selection_of(source, shapes=shapes)).items
        assert [*item.assets] == files
        told = item.properties
        assert (told["argo:complete"], told["argo:whole"], told["argo:beside"].split("\n")) == (True, False, beside)
    incois = SourceConfig(gdac=(str(gdac.root),), dac=("incois",))
    told = found_in(incois).items[0].properties
    assert (told["argo:complete"], told["argo:whole"], "argo:beside" in told) == (True, False, False)


def test_the_index_of_a_week_lists_what_changed_and_nothing_else(gdac: GdacFolder) -> None:
    week = index_text([row(profile(2902269, 2), "20220101000000")])
    (gdac.root / "ar_index_this_week_prof.txt").write_bytes(week)
    found = found_in(SourceConfig(gdac=(str(gdac.root),), index="week"))
    assert (found.table["path"].to_pylist(), found.complete, found.notes) == ([profile(2902269, 2)], False, ())


def test_a_damaged_gz_is_no_loss_where_the_text_is_there(gdac: GdacFolder) -> None:
    packed = (gdac.root / f"{CORE}.gz").read_bytes()
    gdac.publish(packed=False)
    (gdac.root / f"{CORE}.gz").write_bytes(packed[:-30])
    assert len(found_in(SourceConfig(gdac=(str(gdac.root),))).items) == 2


def test_a_gdac_that_is_none_is_told_with_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=rf"{CORE}\.gz nor {CORE}"):
        found_in(SourceConfig(gdac=(str(tmp_path),)))


def test_a_folder_that_is_not_there_is_told_apart_from_one_that_is_no_gdac(tmp_path: Path) -> None:
    """Such as an address without its `https://`."""
    with pytest.raises(CatalogError, match="there is no such folder; addresses begin with https://"):
        found_in(SourceConfig(gdac=(str(tmp_path / "data-argo.ifremer.fr"),)))


def test_a_dry_run_before_the_first_sync_shows_what_would_be_copied(gdac: GdacFolder, tmp_path: Path) -> None:
    """A copy that is only read must be there."""
    source = SourceConfig(gdac=(str(gdac.root),), mirror=str(tmp_path / "copy"))
    found = found_in(source)
    assert found.notes == ("argo: nothing is copied yet; this is what the GDAC has",)
    assert [one.id for one in found.items] == ["2902269", "4902252"]
    assert not (tmp_path / "copy").exists()
    with pytest.raises(CatalogError, match="found no copy of a GDAC; run `groundswell sync` first"):
        found_in(source.model_copy(update={"download": False}))


def test_an_address_with_a_password_is_for_a_copy_only() -> None:
    with pytest.raises(ConfigError, match=r"argo\.gdac.*`mirror`") as error:
        found_in(SourceConfig(gdac=("ftp://user:secret@127.0.0.1/argo",)))
    assert "secret" not in str(error.value)


def test_the_greylist_lies_beside_the_index(shared_data: Path, gdac: GdacFolder) -> None:
    real = SourceConfig(gdac=(str(shared_data / "argo" / "gdac"),))
    assert (read_beside(real, "ar_greylist.txt") or b"").startswith(b"PLATFORM_CODE")
    assert read_beside(SourceConfig(gdac=(str(gdac.root),)), "ar_greylist.txt") is None
