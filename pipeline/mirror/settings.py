"""Settings by environment and `.env`, named as the older workers named them: each is a key, or a way to fetch.

What is not set there has no effect; what is set wins over the config file, and `--set` over both.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from pipeline.config import mask_credentials
from pipeline.config.aliases import gdac_sets
from pipeline.config.given import ConfigSource
from pipeline.config.yamlsource import read_document
from pipeline.errors import ConfigError
from pipeline.mirror.logs import log_to_stderr
from pipeline.mirror.sync import SyncOptions
from pipeline.mirror.transports import Gdac, Patience

ENV_FILE = Path(".env")
IFREMER_PATH = "/ifremer/argo"
"""Where the GDAC lies on Ifremer's FTP server, for an FTP_SERVER that is a bare host."""
_USUAL = Gdac(())


def _listed(value: object) -> object:
    return tuple(re.findall(r"[^\s,;\[\]\"']+", value)) if isinstance(value, str) else value


def _formats(value: object) -> object:
    """Also a plain yes or no, and the names that Arrow's and Parquet's files go by."""
    names = {"true": "arrow", "yes": "arrow", "1": "arrow", "ipc": "arrow", "feather": "arrow"}
    none = {"parquet", "false", "no", "0", "none"}
    if not isinstance(value, str):
        return value
    said = re.findall(r"[^\s,;\[\]\"']+", value.lower())
    return tuple(dict.fromkeys(names.get(one, one) for one in said if one not in none))


def _level(value: object) -> object:
    """Also the short names of Python's levels: other programs' variable may have the same name."""
    return (
        {"warn": "warning", "fatal": "critical"}.get(value.lower(), value.lower()) if isinstance(value, str) else value
    )


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Formats = Annotated[tuple[Literal["arrow", "json"], ...] | None, NoDecode, BeforeValidator(_formats)]
Several = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]
"""Separated by commas or blanks."""


class WorkerSettings(BaseSettings):
    """Each field is a variable of the same name, in capitals."""

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True, hide_input_in_errors=True, frozen=True)

    ftp_server: str | None = Field(default=None, description="Host, host/path or ftp:// address; gdac.")
    ftp_port: int = Field(default=21, ge=1, le=65535, description="Of FTP_SERVER; gdac.")
    ftp_timeout: Seconds = Field(default=_USUAL.ftp.timeout_s, description="Seconds without a byte.")
    ftp_max_retries: int = Field(default=_USUAL.ftp.retries, ge=0, description="Attempts after the first.")
    ftp_retry_delay: float = Field(default=_USUAL.ftp.delay_s, ge=0, description="Seconds of the first pause.")
    http_base_url: str | None = Field(default=None, description="Address of a GDAC, asked before FTP_SERVER; gdac.")
    http_timeout: Seconds = Field(default=_USUAL.http.timeout_s, description="Seconds without a byte.")
    http_max_retries: int = Field(default=_USUAL.http.retries, ge=0, description="Attempts after the first.")
    argo_dac: Several = Field(default=(), description="National data centres; dac.")
    float_ids: Several = Field(default=(), description="WMO numbers; floats.")
    local_cache_path: Path | None = Field(default=None, description="Folder of the local copy; mirror.")
    enable_incremental_sync: bool = Field(default=True, description="False: every file is fetched anew.")
    profile_batch_limit: Count | None = Field(default=None, description="At most so many cycles; limit.")
    batch_size: Count | None = Field(default=None, description="Files on their way at once.")
    max_workers: Count | None = Field(
        default=None, description="Connections to a mirror, and workers of the default cluster."
    )
    output_arrow_format: Formats = Field(
        default=None, description="Beside Parquet, which is always written: arrow, json or both; also."
    )
    arrow_compression: Annotated[str, BeforeValidator(_lower)] | None = Field(
        default=None, description="Codec of Parquet and Arrow files: zstd, snappy, gzip, lz4 or none; compression."
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(_level)] = Field(
        default="warning", description="Least level that is written to standard error."
    )
    log_format: Annotated[Literal["json", "text"], BeforeValidator(_lower)] = Field(
        default="text", description="A line of text, or a JSON object a line."
    )

    @property
    def sync(self) -> SyncOptions:
        """How a sync goes about it."""
        usual, many = _USUAL, self.max_workers
        http = Patience(self.http_timeout, self.http_max_retries, usual.http.delay_s, many or usual.http.connections)
        ftp = Patience(self.ftp_timeout, self.ftp_max_retries, self.ftp_retry_delay, many or usual.ftp.connections)
        return SyncOptions(http, ftp, self.batch_size, self.enable_incremental_sync)

    def sets(self, config: ConfigSource) -> list[str]:
        """What of it are keys of a config, as `--set` assignments for all its sources that are a GDAC.

        Raises ConfigError where a key is set and the config has no such source.
        """
        return [*gdac_sets(config, self._keys()), *self._of_products(config), *self._of_clusters()]

    def log(self) -> None:
        """Write this project's log to standard error, where level or format were set."""
        if self.model_fields_set & {"log_level", "log_format"}:
            log_to_stderr(logging.getLevelName(self.log_level.upper()), as_json=self.log_format == "json")

    def _keys(self) -> dict[str, object]:
        given: dict[str, object] = {
            "gdac": tuple(self._addresses()),
            "dac": self.argo_dac,
            "floats": self.float_ids,
            "mirror": self.local_cache_path and str(self.local_cache_path.expanduser().absolute()),
            "limit": self.profile_batch_limit,
        }
        return {key: value or None for key, value in given.items()}

    def _addresses(self) -> Iterator[str]:
        if self.http_base_url:
            yield re.sub(r"/dac/?$", "", self.http_base_url.rstrip("/"))
        if self.ftp_server:
            host, slash, path = self.ftp_server.removeprefix("ftp://").rstrip("/").partition("/")
            port = "" if self.ftp_port == 21 or ":" in host.rpartition("@")[2] else f":{self.ftp_port}"
            yield f"ftp://{host}{port}" + re.sub(r"/dac$", "", f"/{path}" if slash else IFREMER_PATH)

    def _of_products(self, config: ConfigSource) -> Iterator[str]:
        products = read_document(config).data.get("products")
        for number, product in enumerate(products if isinstance(products, list) else ()):
            if isinstance(product, dict) and product.get("product") == "argo":
                if self.output_arrow_format is not None:
                    yield f"products.{number}.also=[{', '.join(self.output_arrow_format)}]"
                if self.arrow_compression:
                    yield f"products.{number}.compression={self.arrow_compression}"

    def _of_clusters(self) -> Iterator[str]:
        if self.max_workers:
            yield f"clusters.default.workers={self.max_workers}"


def read_settings(env_file: Path = ENV_FILE) -> WorkerSettings:
    """The settings of this process' environment, and of a file beside it for what that does not set.

    Raises ConfigError naming each variable that is wrong, and for a file that was named and cannot be read.
    """
    if env_file != ENV_FILE and not env_file.is_file():
        raise ConfigError(f"{env_file}: no such file; expected lines such as FLOAT_IDS=2902269")
    sources: dict[str, Any] = {"_env_file": env_file}
    try:
        return WorkerSettings(**sources)
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, one['loc'])).upper()} (environment or {env_file}): {mask_credentials(one['msg'])}"
            for one in error.errors(include_url=False, include_input=False)
        ]
        raise ConfigError("\n".join(lines)) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{env_file}: no text in UTF-8 from byte {error.start} on; save it as UTF-8") from None
