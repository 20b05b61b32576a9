"""What several search tests need."""

from __future__ import annotations

import pytest
from urllib3.util.retry import Retry

from pipeline.search import transfer


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same retries, without the waiting."""
    quick = Retry(total=3, backoff_factor=0, status_forcelist=(503,), allowed_methods=None)
    monkeypatch.setattr(transfer, "RETRY", quick)
