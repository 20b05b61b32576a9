"""What a sync knows of the whole: the index that it reads or does not, files of whole floats, searches in the copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import CatalogError
from pipeline.mirror.floats import read_beside, search_floats
from pipeline.search.argo import selection_of
from tests.argo_indices import CORE, GdacFolder, profile
from tests.mirror.gdacs import files_below, profile_bytes
from tests.mirror.syncs import NEW, OLD, counts, profiles, small_gdac, source_of, synced
from tests.servers.faulty import run_faulty


@pytest.fixture
def gdac(tmp_path: Path) -> GdacFolder:
    return small_gdac(tmp_path / "gdac")


@pytest.mark.parametrize("says", [True, False])
def test_an_index_that_has_not_changed_is_not_sent_again(gdac: GdacFolder, tmp_path: Path, *, says: bool) -> None:
    """But where the server has no word for what tells a content from the next, it is."""
    (gdac.root / "ar_greylist.txt").write_bytes(b"PLATFORM_CODE,PARAMETER_NAME\n")
    with run_faulty({f"/{name}": data for name, data in files_below(gdac.root).items()}, etags=says) as server:
        source = source_of(gdac, tmp_path / "copy", gdac=(server.address,))
        sizes = [synced(source).document()["bytes_index"] for _ in range(3)]
        assert sizes[0] > 0
        assert sizes[1:] == ([0, 0] if says else [sizes[0]] * 2)
        gdac.add(profile(2902269, 4), NEW)
        gdac.publish("20230102000000")
        server.files = {f"/{name}": data for name, data in files_below(gdac.root).items()}
        assert counts(synced(source)) == (1, 4, 0)
        (tmp_path / "copy" / f"{CORE}.gz").write_bytes(b"\x1f\x8b damaged")
        assert counts(synced(source)) == (0, 5, 0)
        assert (tmp_path / "copy" / f"{CORE}.gz").read_bytes() == (gdac.root / f"{CORE}.gz").read_bytes()


def test_an_index_that_is_cut_changes_nothing(gdac: GdacFolder, tmp_path: Path) -> None:
    source = source_of(gdac, tmp_path / "copy")
    synced(source)
    before = files_below(tmp_path / "copy")
    packed = (gdac.root / f"{CORE}.gz").read_bytes()
    (gdac.root / f"{CORE}.gz").write_bytes(packed[:-20])
    with pytest.raises(CatalogError, match="cut gzip"):
        synced(source)
    assert files_below(tmp_path / "copy") == before


def test_without_a_gz_the_text_is_read_and_takes_its_place_in_the_copy(gdac: GdacFolder, tmp_path: Path) -> None:
    source = source_of(gdac, tmp_path / "copy")
    synced(source)
    gdac.publish("20230102000000", packed=False)
    assert counts(synced(source)) == (0, 4, 0)
    assert (tmp_path / "copy" / CORE).exists()
    assert not (tmp_path / "copy" / f"{CORE}.gz").exists()


def test_a_mirror_that_lags_behind_is_not_believed(gdac: GdacFolder, tmp_path: Path) -> None:
    """Asked first, it has an older index than the copy: the next mirror is asked, or the copy's own index counts."""
    lagging = GdacFolder(tmp_path / "lagging")
    lagging.add(profile(2902269, 1), OLD)
    lagging.publish("20220601000000")
    fresh = source_of(gdac, tmp_path / "copy")
    synced(fresh)
    gdac.add(profile(2902269, 4), NEW)
    gdac.publish("20230102000000")
    both = source_of(gdac, tmp_path / "copy", gdac=(str(lagging.root), str(gdac.root)))
    assert counts(synced(both)) == (1, 4, 0)
    alone = synced(source_of(gdac, tmp_path / "copy", gdac=(str(lagging.root),)))
    assert counts(alone) == (0, 5, 0)
    assert any("no mirror has one as new as the copy's" in note for note in alone.notes)


def test_one_file_of_a_float_in_place_of_many_then_only_what_is_newer(gdac: GdacFolder, tmp_path: Path) -> None:
    copy, multi = tmp_path / "copy", "incois/2902269/2902269_prof.nc"
    for cycle in range(4, 40):
        gdac.add(profile(2902269, cycle), OLD)
    (gdac.root / "dac" / multi).write_bytes(profile_bytes(1, updated="20210101040000"))
    gdac.publish()
    source = source_of(gdac, copy, floats=(2902269,), multi_profile="auto")
    assert counts(synced(source)) == (1, 0, 0)
    assert counts(synced(source)) == (0, 1, 0)
    newer = gdac.add(profile(2902269, 40), NEW)
    gdac.publish("20230102000000")
    assert counts(synced(source)) == (1, 1, 0)
    assert profiles(copy) == {multi, newer}
    found = search_floats("argo", source, selection_of(source))
    versions = {key: asset.checksum for key, asset in found.items[0].assets.items()}
    assert versions == {multi: "20210101040000", newer: NEW}


def test_a_file_of_a_float_that_lags_behind_its_index_is_completed_by_single_files_at_once(
    gdac: GdacFolder, tmp_path: Path
) -> None:
    for cycle in range(4, 40):
        gdac.add(profile(2902269, cycle), OLD)
    newer = gdac.add(profile(2902269, 40), NEW)
    multi = gdac.root / "dac" / "incois/2902269/2902269_prof.nc"
    multi.write_bytes(profile_bytes(1, updated="20210101040000"))
    gdac.publish()
    source = source_of(gdac, tmp_path / "copy", floats=(2902269,), multi_profile="always")
    assert counts(synced(source)) == (2, 0, 0)
    assert newer in profiles(tmp_path / "copy")
    assert counts(synced(source)) == (0, 2, 0)


def test_a_search_in_the_copy_finds_what_is_there_and_names_what_is_not(gdac: GdacFolder, tmp_path: Path) -> None:
    source = source_of(gdac, tmp_path / "copy", floats=(2902269,))
    synced(source)
    found = search_floats("argo", source, selection_of(source))
    (item,) = found.items
    assert {asset.href for asset in item.assets.values()} == {
        str(tmp_path / "copy" / "dac" / profile(2902269, cycle)) for cycle in (1, 2, 3)
    }
    assert found.notes == ()
    everything = source.model_copy(update={"floats": ()})
    found = search_floats("argo", everything, selection_of(everything))
    assert [one.id for one in found.items] == ["2902269"]
    assert profile(4902252, 1, "D", dac="jma") in found.notes[0]
    assert not found.complete
    synced(everything)
    found = search_floats("argo", everything, selection_of(everything))
    assert (found.complete, found.notes, len(found.items)) == (True, (), 2)


def test_a_row_without_a_file_says_nothing_of_other_buckets(gdac: GdacFolder, tmp_path: Path) -> None:
    """An index lists such rows for months: only where one stands may nothing be taken away."""
    for wmo in (2902268, 2902271):
        gdac.add(profile(wmo, 1))
    (gdac.root / "dac" / profile(2902269, 2)).unlink()
    gdac.publish()
    source = source_of(gdac, tmp_path / "copy")
    synced(source)
    found = search_floats("argo", source, selection_of(source))
    complete = {item.id: item.properties["argo:complete"] for item in found.items}
    assert complete == {"2902268": False, "2902269": False, "2902271": True, "4902252": True}
    assert not found.complete


def test_the_greylist_is_copied_and_an_error_page_in_its_place_is_not(gdac: GdacFolder, tmp_path: Path) -> None:
    listed = gdac.root / "ar_greylist.txt"
    listed.write_bytes(b"PLATFORM_CODE,PARAMETER_NAME\n2902269,PSAL\n")
    source = source_of(gdac, tmp_path / "copy")
    synced(source)
    listed.write_bytes(b"<html>502</html>\n")
    assert any("greylist stays as it was" in note for note in synced(source).notes)
    assert read_beside(source, "ar_greylist.txt") == b"PLATFORM_CODE,PARAMETER_NAME\n2902269,PSAL\n"


def test_a_copy_of_nothing_is_a_copy(gdac: GdacFolder, tmp_path: Path) -> None:
    source = source_of(gdac, tmp_path / "copy", floats=(1901393,))
    assert counts(synced(source)) == (0, 0, 0)
    found = search_floats("argo", source, selection_of(source))
    assert (found.items, found.notes) == ((), ("the index lists no file of float 1901393",))
