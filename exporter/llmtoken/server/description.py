"""What `/docs` says of the routes that aren't the audit's: reports, health, readiness, metrics."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field

from llmtoken import __version__
from llmtoken.config import Settings
from llmtoken.report import Report
from llmtoken.server.answers import refusals

Responses = dict[int | str, dict[str, Any]]


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"]
    version: str = Field(description="Version of llmtoken.")


class Readiness(BaseModel):
    """Whether reports are taken; not `ok` goes with 503."""

    status: Literal["ok", "unavailable"]
    database_writable: bool = Field(description="Whether a commit succeeds.")
    queue_full: bool = Field(description="Whether too much is waiting for the database.")


HEALTHY: Responses = {200: {"content": {"application/json": {"example": {"status": "ok", "version": __version__}}}}}

READY: Responses = {
    200: {
        "content": {"application/json": {"example": {"status": "ok", "database_writable": True, "queue_full": False}}}
    },
    503: {
        "model": Readiness,
        "description": "They aren't: the answer says why.",
        "content": {
            "application/json": {"example": {"status": "unavailable", "database_writable": False, "queue_full": False}}
        },
    },
    **refusals(429),
}

EXPOSITION: Responses = {
    200: {
        "description": "Prometheus' text format, or OpenMetrics for who accepts it.",
        "content": {
            "text/plain": {"schema": {"type": "string"}, "example": "llmtoken_requests_total 1204.0\n"},
            "application/openmetrics-text": {"schema": {"type": "string"}},
        },
    },
    **refusals(401, 429),
}

_ANSWERS = {
    "Accepted": {
        "description": "One report is committed: what it added up to.",
        "type": "object",
        "required": ["status", "request_id", "total_tokens", "tps"],
        "properties": {
            "status": {"const": "ok"},
            "request_id": {"type": "string"},
            "total_tokens": {"type": ["integer", "null"]},
            "tps": {"type": ["number", "null"], "description": "Tokens in and out over the whole time."},
        },
    },
    "BatchAccepted": {
        "description": "Every good line is committed.",
        "type": "object",
        "required": ["status", "accepted", "duplicates", "rejected"],
        "properties": {
            "status": {"const": "ok"},
            "accepted": {"type": "integer"},
            "duplicates": {"type": "integer"},
            "rejected": {"type": "array", "items": {"$ref": "#/components/schemas/Rejection"}},
        },
    },
    "Rejection": {
        "description": "A line that was refused.",
        "type": "object",
        "required": ["line", "error"],
        "properties": {"line": {"type": "integer"}, "error": {"type": "string"}},
    },
}

_REPORT: dict[str, Any] = {
    "summary": "Take one report, or many as NDJSON",
    "description": "docs/report.md says what each field means.",
    "operationId": "report",
    "tags": ["reports"],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/Report"},
                "example": {"request_body": '{"model": "gpt-4o"}', "response_body": "{}", "elapsed_time": 1.25},
            },
            "application/x-ndjson": {"schema": {"type": "string"}},
        },
    },
    "responses": {
        "200": {
            "description": "Committed.",
            "content": {
                "application/json": {
                    "schema": {
                        "anyOf": [
                            {"$ref": "#/components/schemas/Accepted"},
                            {"$ref": "#/components/schemas/BatchAccepted"},
                        ]
                    }
                }
            },
        },
        **{
            str(status): {
                "description": description,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}},
            }
            for status, description in {
                400: "Not JSON, or no usable line.",
                401: "The token is missing or wrong.",
                413: "Too large.",
                422: "The report breaks the schema.",
                429: "Too much is waiting: Retry-After says how long to stay away.",
                503: "The database can't be written now: likewise.",
            }.items()
        },
    },
}


def described(app: FastAPI, settings: Settings) -> dict[str, Any]:
    """FastAPI's description of the routes, with the one that it doesn't see, and which token each needs."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        schema["paths"]["/api/report"] = {"post": dict(_REPORT)}
        _, report = msgspec.json.schema_components([Report], ref_template="#/components/schemas/{name}")
        schema["components"]["schemas"] |= {**report, **_ANSWERS}
        _guard(schema, "report_token", settings.tokens, "/api/report")
        _guard(schema, "read_token", settings.read_tokens, "/api/calls", "/api/usage")
        _guard(schema, "metrics_token", settings.metrics_tokens, "/metrics")
        app.openapi_schema = schema
    return app.openapi_schema


def _guard(schema: dict[str, Any], name: str, tokens: frozenset[str], *prefixes: str) -> None:
    """Say that these paths need a token, if they do."""
    if not tokens:
        return
    schemes = schema["components"].setdefault("securitySchemes", {})
    schemes[name] = {"type": "http", "scheme": "bearer"}
    for path, operations in schema["paths"].items():
        for operation in operations.values() if path.startswith(prefixes) else ():
            operation["security"] = [{name: []}]
