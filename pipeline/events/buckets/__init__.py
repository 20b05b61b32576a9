"""The buckets of other people, read only: on S3, or as local folders."""
