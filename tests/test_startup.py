"""What a start imports: that is its CPU before the first task, so each heavy library waits until it is needed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

FOR_SOME = {
    "aiohttp",
    "bokeh",
    "dask.array",
    "icechunk",
    "numba",
    "obstore",
    "pyogrio",
    "pystac_client",
    "rioxarray",
    "s3fs",
    "scipy",
    "spyndex",
    "stackstac",
    "xarray",
    "zarr",
}
"""Other sources, outputs and readers than files on a disk and COGs; or what only comes after the first task began."""
FOR_CLIENTS = {"geopandas", "pandas", "pyarrow", "rich"}


def imported(code: str) -> set[str]:
    """Names of all modules that a fresh process has after running some code."""
    tail = "\nimport sys, json; print('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code + tail], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("module", ["run", "cli"])
def test_help_needs_the_standard_library_alone(module: str) -> None:
    asked = (
        f"from contextlib import suppress\nfrom pipeline.{module} import main\nwith suppress(SystemExit): main(['-h'])"
    )
    others = {name.partition(".")[0] for name in imported(asked) - imported("")}
    assert others - sys.stdlib_module_names == {"pipeline"}


def test_a_client_imports_what_every_run_needs() -> None:
    found = imported("import pipeline.session\nfrom pipeline.products import product_models\nproduct_models()")
    assert found & FOR_SOME == set()
    assert {"distributed", "rasterio"} <= found, "or these names mean nothing"


def test_a_worker_imports_what_every_task_needs() -> None:
    found = imported(
        "import pipeline.execute.worker.task\nfrom pipeline.products import load_product\nload_product('sentinel2')"
    )
    assert found & (FOR_SOME | FOR_CLIENTS) == set()
    assert "rasterio" in found


def test_a_local_cluster_comes_up_without_its_dashboard() -> None:
    """Bokeh is imported for the first page that somebody asks for."""
    found = imported("""\
from cluster.backend import open_cluster
from cluster.spec import ClusterSpec
if __name__ == "__main__":
    with open_cluster(ClusterSpec("n", "local", "r", 1, 1, 2**30)) as client:
        assert client.submit(sum, [1, 2]).result(timeout=30) == 3
""")
    assert found & (FOR_SOME | FOR_CLIENTS | {"pipeline"}) == set()
    assert "distributed.nanny" in found
