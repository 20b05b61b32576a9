"""The chapter about floats, word for word, on a GDAC in a folder and a PostgreSQL and Redis of its own."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs

import duckdb
import pytest
import yaml
from pydantic import SecretStr

from pipeline.config.stores import PostgresConfig, StoresConfig
from tests.docs.archives import make_gdac
from tests.docs.checkout import Checkout, make_checkout
from tests.docs.markdown import SHELL, blocks, commands, section

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
PAGE = "configs/ARGO.md"


@pytest.fixture(scope="module")
def checkout(demo_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The config of the chapter asks a folder in place of the live data centres."""
    made = make_checkout(tmp_path_factory.mktemp("checkout"), demo_world)
    gdac = make_gdac(made.folder / "gdac-of-2023")
    config = made.folder / "configs" / "argo.yaml"
    text, count = re.subn(r"gdac:\n(\s+- \S+\n)+", f"gdac: {gdac}\n", config.read_text())
    assert count == 1
    config.write_text(text)
    return made


@pytest.fixture(scope="module")
def told(checkout: Checkout) -> list[str]:
    """What each command of the chapter prints, in order."""
    (block,) = (block for block in section(PAGE, "Floats") if block.language in SHELL)
    return [checkout.say(command) for command in commands(block)]


def test_the_commands_copy_what_is_listed_and_make_what_it_touches(told: list[str]) -> None:
    dry, real, single, batch = told
    assert "plan: 3 jobs to run, 0 skipped" in dry
    assert "3 done, 0 skipped, 0 failed" in real
    assert "0 failed" in single and "0 failed" in batch


@pytest.mark.usefixtures("told")
def test_duckdb_reads_the_files_alone(checkout: Checkout) -> None:
    (text,) = (block.text for block in section(PAGE, "Tables") if block.language == "sql")
    levels, rules = (
        duckdb.connect().execute(one.replace("'out/", f"'{checkout.folder}/out/")).fetchall()
        for one in text.split(";")
        if one.strip()
    )
    assert len(levels) > 100 and {row[0] for row in levels} <= {2902269, 2902277}
    assert rules and all(count > 0 for _, _, count in rules)


@pytest.mark.usefixtures("told")
def test_profiles_are_opened_and_saved(checkout: Checkout) -> None:
    (block,) = (block for block in section(PAGE, "Tables") if block.language == "python")
    names = checkout.python(block)
    assert names["profiles"].sizes["profile"] > 0 and names["surface"].notnull().any()
    assert (checkout.folder / "monsoon.nc").stat().st_size > 0


@pytest.mark.usefixtures("told")
def test_the_databases_answer_the_query(checkout: Checkout, stores: StoresConfig) -> None:
    """The sections of the chapter's config over those of `argo.yaml`; the schema is `argo`, as the query says."""
    import psycopg  # noqa: PLC0415 (only here)

    (shown,) = (yaml.safe_load(block.text) for block in section(PAGE, "Floats") if block.language == "yaml")
    config = yaml.safe_load((checkout.folder / "configs" / "argo.yaml").read_text())
    shown["sources"]["argo"]["gdac"] = config["sources"]["argo"]["gdac"]
    (checkout.folder / "configs" / "stores.yaml").write_text(yaml.safe_dump({**config, **shown}))
    assert stores.redis is not None
    dsn = stores.postgres.dsn.get_secret_value()
    environ = {"DATABASE_URL": dsn, "REDIS_URL": stores.redis.url.get_secret_value()}
    assert "partitions loaded" in checkout.sh("groundswell load configs/stores.yaml", **environ)
    (query,) = (block.text for block in section(PAGE, "Databases") if block.language == "sql")
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(query.encode()).fetchall()
        connection.execute("DROP SCHEMA argo CASCADE")
    assert len(rows) > 50 and all(value > 0 for _, _, value in rows)


def test_the_addresses_are_routes_that_take_this() -> None:
    """Of the HTTP API that `serve` gives; what each answers: `stores/test_api.py`."""
    from pipeline.stores.api import make_api  # noqa: PLC0415 (FastAPI)

    stores = StoresConfig(postgres=PostgresConfig(dsn=SecretStr("postgresql://nobody@127.0.0.1:9/x")))
    described = make_api(stores).openapi()["paths"]
    (block,) = (block for block in blocks(PAGE) if block.language == "http")
    for address in block.text.split():
        path, _, query = address.partition("?")
        (route,) = {shape for shape in described if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", shape), path)}
        known = {one["name"] for one in described[route]["get"].get("parameters", ())}
        assert set(parse_qs(query)) <= known, address
