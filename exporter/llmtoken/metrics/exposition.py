"""The text of `/metrics`: which format a scraper asks for, and a registry written in it."""

from __future__ import annotations

import re
from collections.abc import Callable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics import exposition as openmetrics

_Format = tuple[Callable[[CollectorRegistry], bytes], str]
_CLASSIC: _Format = (generate_latest, CONTENT_TYPE_PLAIN_0_0_4)
_OPENMETRICS: _Format = (openmetrics.generate_latest, openmetrics.CONTENT_TYPE_LATEST)


def write(registry: CollectorRegistry, accept: str | None) -> tuple[bytes, str]:
    """All that the registry has, and its media type: OpenMetrics when the Accept header asks for it, else classic."""
    encode, media_type = _OPENMETRICS if _wants_openmetrics(accept or "") else _CLASSIC
    return encode(registry), media_type


def _wants_openmetrics(accept: str) -> bool:
    """Whether the header names OpenMetrics without refusing it (`q=0`)."""
    for offer in accept.lower().split(","):
        media_type, *parameters = (part.strip() for part in offer.split(";"))
        if media_type == "application/openmetrics-text":
            return not any(re.fullmatch(r"q\s*=\s*0(\.0*)?", parameter) for parameter in parameters)
    return False
