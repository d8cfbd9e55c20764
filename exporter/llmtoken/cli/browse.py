"""`llmtoken audit browse`: the address, who may come in, and the server around the site."""

from __future__ import annotations

import socket
from contextlib import suppress

import uvicorn

from llmtoken.cli.console import out
from llmtoken.config import Settings, is_loopback, variable
from llmtoken.errors import ConfigError


def run(settings: Settings, *, host: str, port: int, insecure: bool) -> None:
    """Serve until Ctrl-C. Raises `ConfigError` for what isn't safe or isn't there, `DatabaseError` for the database."""
    tokens = settings.read_tokens
    if not (tokens or insecure or is_loopback(host)):
        raise ConfigError(
            f"Refusing to show the audit on {host} without a read token: anyone could read every prompt",
            hint=f"set {variable('read_token')} or {variable('read_token_file')}, or leave --host out",
        )
    try:
        from llmtoken.browse import application  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("llmtoken"):
            raise
        raise ConfigError("Browsing needs the datasette package", hint="pip install 'llmtoken[browse]'") from error
    site = application(settings, tokens, hosts_checked=not insecure)
    listener = _listener(host, port)
    configuration = uvicorn.Config(
        site, log_config=None, access_log=False, server_header=False, proxy_headers=False, timeout_graceful_shutdown=2
    )
    name = f"[{host}]" if ":" in host else host
    out.print(f"The audit is at http://{name}:{listener.getsockname()[1]}/, read-only. Ctrl-C ends it.")
    with suppress(KeyboardInterrupt):
        uvicorn.Server(configuration).run(sockets=[listener])


def _listener(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError(
            f"Can't listen on {host}, port {port}: {error.strerror}", hint="give another --port; 0 takes a free one"
        ) from error
