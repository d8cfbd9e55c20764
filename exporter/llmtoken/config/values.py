"""How settings are written: durations and lists, and back again."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer
from pydantic_settings import NoDecode

_UNITS = {"w": 7 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1}


def age(value: Any) -> Any:
    """A duration as people write it: `30d`. Raises `ValueError` when it isn't one."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"(\d{1,6})\s*([wdhms])", value.strip().lower())
    if found is None:
        raise ValueError(f"{value!r} isn't a duration: write it like 30d, 12h or 90m")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def shown_age(value: timedelta) -> str:
    """The same way back, in the largest unit that is exact."""
    seconds = int(value.total_seconds())
    unit = next(unit for unit, length in _UNITS.items() if unit != "w" and seconds % length == 0)
    return f"{seconds // _UNITS[unit]}{unit}"


def names(value: Any) -> Any:
    """A list as the environment has it: with commas between, or as JSON."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [name.strip() for name in value.split(",") if name.strip()]


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(names)]
Age = Annotated[timedelta, BeforeValidator(age), PlainSerializer(shown_age)]
