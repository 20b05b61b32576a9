"""YAML → frozen RunConfig: every fault at once, each with file, line and key path. Light: pydantic and PyYAML only."""

from pipeline.config.area import AreaConfig, GridConfig
from pipeline.config.document import mask_credentials
from pipeline.config.load import config_schema, load_config, redacted
from pipeline.config.model import (
    DEFAULT_REGION,
    ClusterConfig,
    MissingAssetsConfig,
    ProductConfig,
    RunConfig,
    RunSettings,
)
from pipeline.config.period import PeriodConfig
from pipeline.config.section import Section
from pipeline.config.source import SourceConfig, StorageConfig
from pipeline.config.write import CogConfig, WriteConfig

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
