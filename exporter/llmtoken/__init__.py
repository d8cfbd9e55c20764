"""llmtoken: the open-source LLM meter for Traefik."""

from importlib.metadata import version

__version__ = version("llmtoken")
