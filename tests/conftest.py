from __future__ import annotations
import os
from pathlib import Path
import pytest
pytest_plugins = ["tests.servers.fixtures"]

@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = Path(os.environ.get("GROUNDSWELL_SHARED", Path(__file__).parents[2] / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip("needs the shared test data: set GROUNDSWELL_SHARED")
    return folder
