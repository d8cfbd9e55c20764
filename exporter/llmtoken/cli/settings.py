"""`llmtoken check-config`, and `docs/configuration.md`, which is made from the same settings."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from rich.table import Column, Table

from llmtoken import config as configuration
from llmtoken.cli.console import err, out
from llmtoken.config import CONFIG_VARIABLE, Settings, variable, without_password
from llmtoken.redact import Redactor


def show(config: Path | None, *, as_json: bool) -> None:
    """Print every setting with its effective value and origin. Raises `ConfigError` when one is wrong."""
    settings, origins = configuration.load(config), configuration.origins(config)
    Redactor(settings.redact, settings.redact_patterns)  # says what is wrong with them
    values = settings.model_dump(mode="json")  # masks the secrets
    values["database"] = without_password(settings.database)
    rows = {name: {"value": values[name], "source": origin} for name, origin in origins.items()}
    unknown = configuration.unknown_variables()
    if as_json:
        out.print_json(json.dumps({"settings": rows, "unknown_variables": unknown}))
        return
    table = Table("setting", Column("value", overflow="fold"), Column("from", overflow="fold"))
    for name, row in rows.items():
        shown = "" if row["value"] is None else json.dumps(row["value"]).strip('"')
        table.add_row(name, shown, row["source"], style=None if row["source"] != "default" else "dim")
    out.print(table)
    for name in unknown:
        err.print(f"{name} is set, but there is no such setting", style="yellow")


def page() -> str:
    """`docs/configuration.md`. Print it with `python -m llmtoken.cli.settings`."""
    rows = "\n".join(_row(name, field) for name, field in Settings.model_fields.items())
    return _PAGE.format(config_variable=CONFIG_VARIABLE, rows=rows)


def _row(name: str, field: FieldInfo) -> str:
    default = "" if field.default in (None, PydanticUndefined) else f"`{json.dumps(field.default)}`"
    return f"| `{name}` | `{variable(name)}` | {default} | {field.description} |"


_PAGE = """\
<!-- Made from `llmtoken.config.Settings` by `make docs`; edit the descriptions there. -->
# Settings of the collector

A setting comes from, strongest first:

1. the command line (`llmtoken serve --port 8001`; `llmtoken serve --help` lists what it takes),
2. an environment variable (`LLMTOKEN_PORT=8001`),
3. a TOML file (`port = 8001`), named by `--config` or `{config_variable}`.

`llmtoken check-config` shows every value, where it comes from, and what is wrong; secrets are masked.
A wrong or unknown setting stops the start with a message that names it.

| in the file | environment variable | default | meaning |
|---|---|---|---|
{rows}

Sizes are bytes. A setting without a default is off.

## A file to start from

```toml
host = "0.0.0.0"
database = "/var/lib/llmtoken/llmtoken.db"
token_file = "/run/secrets/llmtoken-tokens"
read_token_file = "/run/secrets/llmtoken-read-tokens"
```

## Tokenizers

Where a provider reports no usage, llmtoken counts: OpenAI's models by their own encodings, others by the nearest
of these and a factor. If you run open models, their own tokenizer is better. The file `tokenizer.json` lies beside
the weights of most of them; the first pattern that fits the model's name counts, whatever its case.

```toml
[tokenizers]
"qwen*" = "/models/Qwen3-8B/tokenizer.json"
"*llama-3*" = "/models/Llama-3.1-8B/tokenizer.json"
```

Install the library with `pip install 'llmtoken[tokenizers]'`.

## Prices

Costs come from the public price list that is installed with llmtoken, if it knows provider and model. What you run
yourself or have negotiated is priced by you, in US dollars, and that wins:

```toml
[[prices]]
model = "qwen*"            # a pattern of model names, in any case
provider = "self_hosted"   # a pattern of gen_ai_provider_name; every provider if left out
since = 2026-01-01         # first day, UTC; always if left out
input_per_million = "0.10"
output_per_million = "0.40"

[[prices]]
model = "whisper*"
per_second = "0.0006"      # of the call's duration
```

There are `input_per_million`, `output_per_million`, `cache_read_per_million`, `cache_write_per_million`,
`reasoning_per_million`, `input_audio_per_million` and `output_audio_per_million`, all of tokens, `per_second` and
`per_call`; those that are given are added up. A part without a rate of its own costs what the other tokens of its
side cost. The first table that fits counts, so a new price goes above the one that it replaces. Tokens that nobody
knows and a side without a rate have no price; with tokens, the call is then counted in
`llmtoken_unpriced_requests_total`. Seconds and calls are paid only where the model worked: not for errors, lists,
or a reply that is fetched again. The column `price_version` names the price, a digest of its rates and its first
day. `llmtoken audit reprice` applies a change to calls that are stored already, and `llmtoken prices` says what a
model costs now.

## Tokens

On a loopback address no token is needed. On any other, both are: the one that reports carry
(`token`, `token_file`) and the one that audit reads carry (`read_token`, `read_token_file`). They are
separate, so that a proxy that reports can't read. A file holds one token a line and all of them are valid,
so a token is replaced without a gap: add the new one, move the senders over, take the old one out. A file is read
again within a second of its change; one that is gone or empty changes nothing.

## Redaction

`secrets` are redacted unless you say otherwise. With personal data, a pattern of your own, and consumers that are
called by their e-mail address but shall stay apart:

```toml
redact = ["secrets", "pii"]
redact_key = "at least sixteen characters"

[redact_patterns]
customer_number = '\bKD-[0-9]{{8}}\b'
```

Rules, where they look and what they can't see: [privacy.md](privacy.md).

## Kubernetes

For a Service named `llmtoken`, Kubernetes sets `LLMTOKEN_PORT=tcp://…` in every pod of the namespace, which
isn't a port. Put `enableServiceLinks: false` into the pod.
"""

if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 - the page is the output
