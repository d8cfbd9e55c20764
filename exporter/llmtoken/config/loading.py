"""Where settings come from, strongest first: the command line, the environment, a TOML file."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict, SettingsError

from llmtoken.config.checks import check
from llmtoken.config.settings import PREFIX, Settings
from llmtoken.errors import ConfigError

CONFIG_VARIABLE = f"{PREFIX}CONFIG"
"""Names the TOML file where `--config` isn't given."""


def load(config: Path | None = None, **overrides: Any) -> Settings:
    """Read and check the settings. `overrides` (from the command line) win; `None` means not given.

    Raises `ConfigError` with the setting's name and what to do.
    """
    _read_toml(config)

    class WithFile(Settings):
        model_config = SettingsConfigDict(toml_file=config)

    try:
        settings = WithFile(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        raise ConfigError(_describe(error), hint="see docs/configuration.md, then try llmtoken check-config") from error
    except SettingsError as error:
        raise ConfigError(
            f"Wrong settings: {error}", hint="in the environment a table is written as a JSON object"
        ) from error
    check(settings)
    return settings


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def origins(config: Path | None = None, **overrides: Any) -> dict[str, str]:
    """Where each setting's value comes from: `command line`, `environment`, the file's path, or `default`."""
    in_file = _read_toml(config)
    in_environment = {name.upper() for name in os.environ}

    def origin(name: str) -> str:
        if overrides.get(name) is not None:
            return "command line"
        if variable(name) in in_environment:
            return "environment"
        return str(config) if name in in_file else "default"

    return {name: origin(name) for name in Settings.model_fields}


def unknown_variables() -> tuple[str, ...]:
    """`LLMTOKEN_*` variables that set nothing here: most likely misspelt, or another part's."""
    known = {CONFIG_VARIABLE, *map(variable, Settings.model_fields)}
    return tuple(sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known))


def without_password(database: str) -> str:
    """A database's path or URL as it may be shown to anybody."""
    masked = re.sub(r"(://[^:/@]*:).*@", r"\1********@", database)
    return re.sub(r"(password=)[^&]*", r"\1********", masked)


def _read_toml(config: Path | None) -> dict[str, Any]:
    if config is None:
        return {}
    try:
        return tomllib.loads(config.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"Can't read {config}: {error.strerror}", hint="check the path given to --config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{config} isn't TOML: {error}", hint="mend that line; see docs/configuration.md") from error


def _describe(error: ValidationError) -> str:
    return "Wrong settings: " + "; ".join(_problems(error))


def _problems(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_input=False):
        name = ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(name, Settings.model_fields, n=1)
            yield f"there is no setting {name}" + "".join(f", do you mean {other}?" for other in near)
        else:
            yield f"{name}: {problem['msg'].removeprefix('Value error, ')}"
