"""Every setting: its name, its type, its bounds and what it is for. Knows nothing of the others."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from llmtoken.config.values import Age, Names
from llmtoken.errors import ConfigError
from llmtoken.rates import OwnPrice, refuse_hidden

MIB = 1024 * 1024
PREFIX = "LLMTOKEN_"

_SHORTEST_KEY = 16


class Settings(BaseSettings):
    """Every setting of the collector. `docs/configuration.md` is made from these descriptions."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="Address to listen on. Any but loopback needs both tokens.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    database: str = Field("llmtoken.db", description="Path of the SQLite file, or a SQLAlchemy URL.")

    instance: str = Field(
        "",
        max_length=200,
        description="Name under which this collector keeps its counters in the database. Empty: `collector` in a "
        "SQLite file, the host's name on PostgreSQL. Collectors that share a database need one each, and keep it.",
    )

    token: SecretStr | None = Field(None, description="Bearer token that reports must carry.")
    token_file: Path | None = Field(None, description="File with ingest tokens, one a line; all are valid.")
    read_token: SecretStr | None = Field(None, description="Bearer token that audit reads must carry.")
    read_token_file: Path | None = Field(None, description="File with read tokens, one a line; all are valid.")
    metrics_token: SecretStr | None = Field(
        None, description="Bearer token that `/metrics` must be asked with. Without one anybody may who can connect."
    )
    metrics_token_file: Path | None = Field(None, description="File with such tokens, one a line; all are valid.")
    insecure: bool = Field(False, description="Listen on an open address without tokens. Don't.")

    max_connections: int = Field(
        1000, ge=8, le=100_000, description="Connections at a time; a quarter of them from one address."
    )
    max_wrong_tokens_per_minute: int = Field(
        30,
        ge=1,
        description="Wrong tokens that one address may show before the routes that read don't hear it any more.",
    )
    max_requests_per_second: float = Field(
        500,
        gt=0,
        description="Requests that one address may make, four times as many at once. Reports have a queue instead.",
    )
    max_request_bytes: int = Field(64 * MIB, ge=1024, description="Largest report request, as sent and unpacked.")
    max_body_bytes: int = Field(64 * MIB, ge=1024, description="Largest captured body after decompression.")
    capture_bodies: Literal["full", "none"] = Field("full", description="Keep bodies in the audit, or only count them.")

    private_consumers: Names = Field(
        (),
        description="Patterns (`*` and `?`) of consumers whose bodies are never stored. Their calls are counted like "
        "all others.",
    )
    redact: Names = Field(
        ("secrets",),
        description="What is taken out of every text before it is stored: sets (`secrets`, `pii`) and rules (`email`, "
        "`jwt`, …) of docs/privacy.md. Empty: nothing.",
    )
    redact_patterns: dict[str, str] = Field(
        {},
        max_length=50,
        description="Patterns of your own, a name and a regular expression (RE2) each; of one with a group, the group "
        "is taken out. A table in the file, a JSON object in the environment.",
    )
    redact_key: SecretStr | None = Field(
        None,
        min_length=16,
        description="Secret by which a consumer whose name is redacted gets a name of its own, always the same. "
        "Without it all of them are one.",
    )

    retain_bodies: Age | None = Field(
        None, ge=timedelta(minutes=1), description="Delete bodies of calls that are older, such as `30d` or `12h`."
    )
    retain_calls: Age | None = Field(
        None, ge=timedelta(days=1), description="Delete calls that are older, bodies too: `365d`. At least a day."
    )
    retain_bytes: int | None = Field(
        None,
        ge=MIB,
        description="What a SQLite database may hold: beyond it the oldest bodies are deleted, then the oldest calls.",
    )

    seals: bool = Field(
        False,
        description="Seal every call, so that `llmtoken audit verify` finds what was changed, taken out or put in by "
        "hand; see docs/privacy.md.",
    )
    seal_key: SecretStr | None = Field(
        None,
        min_length=_SHORTEST_KEY,
        description="Secret that seals are made with, so that nobody else can make them. `llmtoken audit` needs it as "
        "well.",
    )
    seal_key_file: Path | None = Field(
        None, description="File with such keys, one a line; the first is used, all are known when verifying."
    )

    search: bool = Field(
        False, description="Index what was said, so that `q` finds it. SQLite only; off again throws the index away."
    )

    queue_reports: int = Field(10_000, ge=1, description="Reports that may wait for the database.")
    queue_bytes: int = Field(256 * MIB, ge=1024, description="Bytes of reports that may wait for the database.")
    workers: int = Field(2, ge=1, le=64, description="Threads that read reports.")
    commit_reports: int = Field(500, ge=1, description="Most reports in one transaction.")

    max_models: int = Field(200, ge=1, le=1000, description="Distinct model names on metrics; more become _other.")
    max_consumers: int = Field(200, ge=1, le=1000, description="Distinct consumers on metrics; more become _other.")

    metrics_detail: Literal["full", "lean"] = Field(
        "full",
        description="`lean` shows fewer labels and buckets on /metrics, a third of the series; see docs/metrics.md.",
    )

    tokenizers: dict[str, Path] = Field(
        {},
        description="A `tokenizer.json` for each pattern of model names (`*` and `?`), used to count their texts where "
        "usage is missing. A table in the file, a JSON object in the environment. Needs `llmtoken[tokenizers]`.",
    )

    prices: tuple[OwnPrice, ...] = Field(
        (),
        description="Own prices, of self-hosted models or as negotiated; the first that fits a call counts, before the "
        "public list. Tables in the file, a JSON list in the environment; see below.",
    )
    links: dict[str, str] = Field(
        {},
        description="What the landing page links to, by name, such as your Prometheus and Grafana. A table in the "
        "file, a JSON object in the environment.",
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line, then environment, then the TOML file; no .env and no secrets directory."""
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls))

    @field_validator("port", mode="before")
    @classmethod
    def _not_a_service_link(cls, port: Any) -> Any:
        """Kubernetes sets `LLMTOKEN_PORT=tcp://…` in every pod beside a Service called llmtoken."""
        if isinstance(port, str) and port.startswith("tcp://"):
            raise ValueError(
                f"{port} was set by Kubernetes for the Service llmtoken: put enableServiceLinks: false in the pod"
            )
        return port

    @field_validator("prices")
    @classmethod
    def _all_may_apply(cls, prices: tuple[OwnPrice, ...]) -> tuple[OwnPrice, ...]:
        refuse_hidden(prices)
        return prices

    @field_validator("links")
    @classmethod
    def _web_addresses(cls, links: dict[str, str]) -> dict[str, str]:
        for name, url in links.items():
            if not url.startswith(("http://", "https://")):
                raise ValueError(f"{name} leads to {url!r}: write it like http://127.0.0.1:9090")
        return links

    @property
    def tokens(self) -> frozenset[str]:
        """The valid ingest tokens; empty when none is asked for."""
        return _tokens(self.token, self.token_file)

    @property
    def read_tokens(self) -> frozenset[str]:
        """The valid read tokens; empty when none is asked for."""
        return _tokens(self.read_token, self.read_token_file)

    @property
    def metrics_tokens(self) -> frozenset[str]:
        """The tokens that `/metrics` may be asked with; empty when none is asked for."""
        return _tokens(self.metrics_token, self.metrics_token_file)

    @property
    def seal_keys(self) -> tuple[str, ...]:
        """The keys of seals, the one to use first; empty where seals have none."""
        keys = _secrets(self.seal_key, self.seal_key_file, "key")
        if any(len(key) < _SHORTEST_KEY for key in keys):
            raise ConfigError(
                f"A key in {self.seal_key_file} is shorter than {_SHORTEST_KEY} characters",
                hint="make one with: openssl rand -hex 32",
            )
        return keys


def _tokens(inline: SecretStr | None, file: Path | None) -> frozenset[str]:
    return frozenset(_secrets(inline, file, "token"))


def _secrets(inline: SecretStr | None, file: Path | None, what: str) -> tuple[str, ...]:
    """The one that is given by itself, then those in the file, one a line."""
    found = [inline.get_secret_value()] if inline else []
    if file is not None:
        try:
            found += [line.strip() for line in file.read_text("utf-8").splitlines()]
        except OSError as error:
            raise ConfigError(f"Can't read the {what}s in {file}: {error.strerror}", hint="check the path") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"The {what}s in {file} aren't UTF-8", hint=f"write one {what} a line") from error
    return tuple(secret for secret in found if secret)
