"""Laws of what may be said of a config: no credentials."""

from __future__ import annotations

import pytest

from pipeline.config.document import mask_credentials


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("https://user:pass@host/x", "https://***@host/x"),
        ("https://user:p@ss@host/x?a=b@c", "https://***@host/x?a=b@c"),
        ("https://host/x?a=1&sig=abc&b=2", "https://host/x?a=1&sig=***&b=2"),
        ("s3://k:s@bucket/x and s3://bucket/y", "s3://***@bucket/x and s3://bucket/y"),
        ("https://h/?X-Amz-Signature=f&access_token=t", "https://h/?X-Amz-Signature=***&access_token=***"),
        ("https://host/a@b?collection=c", "https://host/a@b?collection=c"),
        ("nobody@example.org", "nobody@example.org"),
    ],
)
def test_credentials_inside_urls_are_masked_and_nothing_else(text: str, masked: str) -> None:
    assert mask_credentials(text) == masked
