"""YAML → frozen RunConfig: every fault at once, each with file, line and key path. Light: pydantic and PyYAML only."""

from pipeline.config.area import AreaConfig, GridConfig
from pipeline.config.campaign import MetricsConfig, MissingAssetsConfig, NoticeConfig, RunSettings
from pipeline.config.clusters import AnyCluster
from pipeline.config.document import mask_credentials
from pipeline.config.events import EventsConfig
from pipeline.config.load import config_schema, events_schema, load_config, load_events, redacted
from pipeline.config.model import (
    DEFAULT_REGION,
    DerivedProduct,
    ProductConfig,
    RunConfig,
    SourceProduct,
)
from pipeline.config.period import PeriodConfig
from pipeline.config.quality import QualityConfig
from pipeline.config.section import Section
from pipeline.config.source import SourceConfig, StorageConfig
from pipeline.config.write import CogConfig, WriteConfig

__all__ = [
    "DEFAULT_REGION",
    "AnyCluster",
    "AreaConfig",
    "CogConfig",
    "DerivedProduct",
    "EventsConfig",
    "GridConfig",
    "MetricsConfig",
    "MissingAssetsConfig",
    "NoticeConfig",
    "PeriodConfig",
    "ProductConfig",
    "QualityConfig",
    "RunConfig",
    "RunSettings",
    "Section",
    "SourceConfig",
    "SourceProduct",
    "StorageConfig",
    "WriteConfig",
    "config_schema",
    "events_schema",
    "load_config",
    "load_events",
    "mask_credentials",
    "redacted",
]
