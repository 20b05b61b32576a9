"""What S3 tells of an object, in the real format."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import quote_plus


def s3_message(
    bucket: str,
    key: str,
    *,
    sequencer: str = "0055AED6DCD90281E5",
    name: str = "ObjectCreated:Put",
    size: int = 1024,
    etag: str = "d41d8cd98f00b204e9800998ecf8427e",
) -> str:
    """The text of a notification of S3, with the key as S3 encodes it.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    state = {"size": size, "eTag": etag} if name.startswith("ObjectCreated") else {}
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": (datetime.now(UTC) - timedelta(seconds=1))
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z"),
        "eventName": name,
        "userIdentity": {"principalId": "AWS:TESTS"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "tests"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "tests",
            "bucket": {
                "name": bucket,
                "ownerIdentity": {"principalId": "TESTS"},
                "arn": f"arn:aws:s3:::{bucket}",
            },
            "object": {"key": quote_plus(key, safe="/"), **state, "sequencer": sequencer},
        },
    }
    return json.dumps({"Records": [record]})
