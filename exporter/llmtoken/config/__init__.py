"""All settings in one frozen object, validated at start and passed on as values.

Read from, strongest first: the command line, `LLMTOKEN_*` environment variables, a TOML
file. Knows nothing else of llmtoken but its errors and how prices are written.
"""

from llmtoken.config.checks import is_loopback
from llmtoken.config.loading import CONFIG_VARIABLE, load, origins, unknown_variables, variable, without_password
from llmtoken.config.settings import PREFIX, Settings
from llmtoken.config.values import age, shown_age

__all__ = [
    "CONFIG_VARIABLE",
    "PREFIX",
    "Settings",
    "age",
    "is_loopback",
    "load",
    "origins",
    "shown_age",
    "unknown_variables",
    "variable",
    "without_password",
]
