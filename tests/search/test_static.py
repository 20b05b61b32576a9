"""Laws of static sources: every item once, hrefs absolute, dead links cost a note, and no STAC is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import CatalogError
from pipeline.search.catalog import read_static
from tests.search.makers import Raw, raw_item
from tests.servers.faulty import Answer, first, run_faulty

CATALOG = {"type": "Catalog", "stac_version": "1.0.0", "id": "root", "description": "x"}


def write(folder: Path, files: dict[str, Any]) -> str:
    """JSON files, by name relative to the folder; the path of the first."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(folder / next(iter(files)))


def links(*hrefs: str, rel: str = "item") -> list[Raw]:
    return [{"rel": rel, "href": href} for href in hrefs]


def with_href(href: str, name: str = "scene-1") -> Raw:
    return raw_item(id=name, assets={"red": {"href": href}})


def hrefs(items: list[Raw]) -> list[str]:
    return [item["assets"]["red"]["href"] for item in items]


@pytest.mark.parametrize("shape", ["item", "list", "collection"])
def test_items_in_one_file_are_found(tmp_path: Path, shape: str) -> None:
    item = with_href("./red.tif")
    other = with_href("sub/red.tif", "scene-2")
    document = {
        "item": item,
        "list": [item, other],
        "collection": {"type": "FeatureCollection", "features": [item, other]},
    }
    items, notes = read_static(write(tmp_path, {"all.json": document[shape]}))
    expected = [str(tmp_path / "red.tif"), str(tmp_path / "sub/red.tif")]
    assert (hrefs(items), notes) == (expected[: len(items)], [])
    assert len(items) == (1 if shape == "item" else 2)


def test_nested_catalogues_are_followed_and_each_item_comes_once(tmp_path: Path) -> None:
    """Children, grandchildren, a loop back to the root, and hrefs relative to each item's own file."""
    root = write(
        tmp_path,
        {
            "catalog.json": {**CATALOG, "links": [*links("a/child.json", rel="child"), *links("one.json")]},
            "a/child.json": {
                **CATALOG,
                "links": [*links("../catalog.json", "b/c.json", rel="child"), *links("two.json")],
            },
            "a/b/c.json": {**CATALOG, "type": "Collection", "links": links("three.json", "../two.json")},
            "one.json": with_href("red.tif", "one"),
            "a/two.json": with_href("red.tif", "two"),
            "a/b/three.json": with_href("../../red.tif", "three"),
        },
    )
    items, notes = read_static(root)
    assert notes == []
    assert sorted(zip(hrefs(items), (item["id"] for item in items), strict=True)) == sorted(
        [
            (str(tmp_path / "red.tif"), "one"),
            (str(tmp_path / "a/red.tif"), "two"),
            (str(tmp_path / "red.tif"), "three"),
        ]
    )
    assert [link["href"] for item in items for link in item["links"] if item["id"] == "two"] == [
        str(tmp_path / "a/two.json")
    ]


def test_a_real_collection_with_a_sub_folder(shared_data: Path) -> None:
    folder = shared_data / "raster/s2/openeo_10m_3dates"
    items, notes = read_static(str(folder / "collection.json"))
    assert notes == []
    found = sorted(asset["href"] for item in items for asset in item["assets"].values())
    assert found == sorted(str(path) for path in folder.rglob("*.tif"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "FileNotFoundError"),
        ("<html>", "not JSON|cannot be read"),
        ('{"foo": 1}', "expected a STAC"),
        ("[3]", "found '3'"),
    ],
)
def test_a_linked_file_that_is_no_item_costs_a_note(tmp_path: Path, content: str | None, said: str) -> None:
    files: dict[str, Any] = {
        "catalog.json": {**CATALOG, "links": links("good.json", "bad.json")},
        "good.json": with_href("red.tif"),
    }
    items, (note,) = read_static(write(tmp_path, files if content is None else {**files, "bad.json": content}))
    assert [item["id"] for item in items] == ["scene-1"]
    assert note.startswith(str(tmp_path / "bad.json"))
    assert any(part in note for part in said.split("|"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("<html>", "not JSON"),
        ("5", "expected STAC, found int"),
        ('{"foo": 1}', "expected a STAC catalogue, collection or items, found keys"),
        ("[5]", "expected a list of STAC items, found '5'"),
        ('[{"type": "Point"}]', "expected a list of STAC items"),
    ],
)
def test_an_entry_that_is_no_stac_is_refused_with_its_name(tmp_path: Path, content: str, said: str) -> None:
    path = write(tmp_path, {"entry.json": content})
    with pytest.raises(CatalogError, match=said) as refusal:
        read_static(path)
    assert path in str(refusal.value)


def test_a_missing_entry_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"nowhere\.json: cannot be read: FileNotFoundError"):
        read_static(str(tmp_path / "nowhere.json"))


@pytest.mark.parametrize("junk", [5, ["x", None, 3], {"rel": "item"}, [{"rel": "item"}], [{"href": 5, "rel": "self"}]])
def test_junk_among_links_and_assets_is_passed_over(tmp_path: Path, junk: Any) -> None:
    item = {**with_href("red.tif"), "links": junk}
    item["assets"] = {**item["assets"], "none": None, "empty": {}, "text": "x"}
    (found,), _ = read_static(write(tmp_path, {"item.json": item}))
    assert found["assets"] == {"red": {"href": str(tmp_path / "red.tif")}}
    assert read_static(write(tmp_path, {"catalog.json": {**CATALOG, "links": junk}})) == ([], [])


@pytest.mark.parametrize("assets", [None, 5, [], [{"href": "x"}]])
def test_an_item_whose_assets_are_no_mapping_has_none(tmp_path: Path, assets: Any) -> None:
    (found,), _ = read_static(write(tmp_path, {"item.json": raw_item(assets=assets)}))
    assert found["assets"] == {}


def test_a_catalogue_on_s3_without_credentials_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(CatalogError, match=r"^s3://bucket/catalog\.json: cannot be read: NoCredentialsError"):
        read_static("s3://bucket/catalog.json")


def test_catalogues_without_end_are_refused(tmp_path: Path) -> None:
    files = {f"{n}.json": {**CATALOG, "links": links(f"{n + 1}.json", rel="child")} for n in range(30)}
    with pytest.raises(CatalogError, match="nested deeper than 16"):
        read_static(write(tmp_path, files))


@pytest.mark.usefixtures("impatient")
def test_a_catalogue_over_http_gives_absolute_addresses() -> None:
    """Relative to the file, to the server's root, and absolute; a 503 is asked again, a dead link is a note."""
    files = {
        "/stac/catalog.json": json.dumps({**CATALOG, "links": links("items/a.json", "/b.json", "gone.json")}).encode(),
        "/stac/items/a.json": json.dumps(with_href("../red.tif", "a")).encode(),
        "/b.json": json.dumps(with_href("/data/red.tif?v=1", "b")).encode(),
    }
    with run_faulty(files, first(1, Answer(503))) as server:
        items, notes = read_static(f"{server.address}/stac/catalog.json")
        assert hrefs(items) == [f"{server.address}/stac/red.tif", f"{server.address}/data/red.tif?v=1"]
        assert notes == [f"{server.address}/stac/gone.json: HTTP 404"]


def test_html_over_http_is_refused_with_its_address() -> None:
    refused = pytest.raises(CatalogError, match=r"catalog\.json: not JSON")
    with run_faulty({"/catalog.json": b"<html>Sign in</html>"}) as server, refused:
        read_static(f"{server.address}/catalog.json")


@pytest.mark.usefixtures("impatient")
def test_a_server_that_is_not_there_is_named() -> None:
    with run_faulty({}) as server:
        address = server.address
    with pytest.raises(CatalogError, match=f"{address}/catalog.json: cannot be read"):
        read_static(f"{address}/catalog.json")


@pytest.mark.parametrize(
    ("href", "expected"),
    [
        ("https://host/x.tif", "https://host/x.tif"),
        ("s3://bucket/x.tif", "s3://bucket/x.tif"),
        ("file:///data/x.tif", "/data/x.tif"),
        ("/data/x.tif", "/data/x.tif"),
    ],
)
def test_an_absolute_href_in_a_file_stays_what_it_is(tmp_path: Path, href: str, expected: str) -> None:
    items, _ = read_static(write(tmp_path, {"item.json": with_href(href)}))
    assert hrefs(items) == [expected]


def test_one_page_of_an_api_says_that_it_is_not_all(tmp_path: Path) -> None:
    """A collection's address of items gives a first page: the rest must not be missing without a word."""
    page = {"type": "FeatureCollection", "features": [raw_item()], "links": links("?token=next:2", rel="next")}
    items, (note,) = read_static(write(tmp_path, {"items.json": page}))
    assert len(items) == 1 and note.startswith(f"{tmp_path / 'items.json'}: only this page was read")


def test_a_document_that_is_cut_on_the_way_is_asked_for_again() -> None:
    """One lost body would be one lost scene."""
    files = {
        "/catalog.json": json.dumps({**CATALOG, "links": links("one.json")}).encode(),
        "/one.json": json.dumps(raw_item()).encode(),
    }
    with run_faulty(files, first(2, Answer(cut_bytes=20))) as server:
        items, notes = read_static(f"{server.address}/catalog.json")
    assert ([item["id"] for item in items], notes) == (["scene-1"], [])
