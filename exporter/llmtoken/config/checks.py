"""What a single value can't tell: settings that don't go together, or not with this machine."""

from __future__ import annotations

import ipaddress
import json
from importlib.util import find_spec

from llmtoken.config.settings import Settings
from llmtoken.errors import ConfigError


def check(settings: Settings) -> None:
    """Refuse settings that can't work together. Raises `ConfigError` with what to do."""
    _refuse_open_bind(settings)
    _refuse_unusable_tokenizers(settings)
    _refuse_what_only_sqlite_has(settings)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse_open_bind(settings: Settings) -> None:
    # The files of secrets are read whatever the address is: a wrong path must stop the start, not the first report.
    guarded = all([settings.tokens, settings.read_tokens])
    _ = settings.metrics_tokens, settings.seal_keys
    if settings.insecure or guarded or is_loopback(settings.host):
        return
    raise ConfigError(
        f"Refusing to listen on {settings.host} without tokens: anyone could read every prompt",
        hint="set LLMTOKEN_TOKEN and LLMTOKEN_READ_TOKEN, or listen on 127.0.0.1, or pass --insecure",
    )


def _refuse_what_only_sqlite_has(settings: Settings) -> None:
    if "://" not in settings.database or settings.database.startswith("sqlite"):
        return
    if settings.search:
        raise ConfigError("search is for SQLite", hint="leave it out, or keep the audit in a file")
    if settings.retain_bytes is not None:
        raise ConfigError(
            "retain_bytes is for SQLite: PostgreSQL doesn't say how much of its files is in use",
            hint="set retain_bodies and retain_calls, which go by age",
        )


def _refuse_unusable_tokenizers(settings: Settings) -> None:
    """The files are loaded when a model needs them; what can be told before is told at the start."""
    if settings.tokenizers and find_spec("tokenizers") is None:
        raise ConfigError("tokenizers is set, but the package isn't there", hint="pip install 'llmtoken[tokenizers]'")
    for pattern, path in settings.tokenizers.items():
        if not pattern.strip() or pattern.count("[") != pattern.count("]"):
            raise ConfigError(f"tokenizers: {pattern!r} isn't a pattern", hint="write it like qwen* or */llama-3.?-*")
        try:
            known = json.loads(path.read_bytes())
        except OSError as error:
            raise ConfigError(
                f"Can't read the tokenizer of {pattern}, {path}: {error.strerror}", hint="check the path"
            ) from error
        except ValueError:
            known = None
        if not (isinstance(known, dict) and "model" in known):
            raise ConfigError(
                f"{path}, the tokenizer of {pattern}, isn't a tokenizer.json",
                hint="take the file of that name from the model's repository",
            )
