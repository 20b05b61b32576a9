"""YAML → frozen RunConfig: every fault at once, each with file, line and key path. Light: pydantic and PyYAML only."""

from pipeline.config.document import mask_credentials
from pipeline.config.load import config_schema, load_config, redacted
from pipeline.config.model import (
    DEFAULT_REGION,
    AreaConfig,
    ClusterConfig,
    CogConfig,
    GridConfig,
    MissingAssetsConfig,
    PeriodConfig,
    ProductConfig,
    RunConfig,
    RunSettings,
    Section,
    SourceConfig,
    StorageConfig,
    WriteConfig,
)

__all__ = [
    "DEFAULT_REGION",
    "AreaConfig",
    "ClusterConfig",
    "CogConfig",
    "GridConfig",
    "MissingAssetsConfig",
    "PeriodConfig",
    "ProductConfig",
    "RunConfig",
    "RunSettings",
    "Section",
    "SourceConfig",
    "StorageConfig",
    "WriteConfig",
    "config_schema",
    "load_config",
    "mask_credentials",
    "redacted",
]
