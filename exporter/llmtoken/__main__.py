"""`python -m llmtoken` is the same as the `llmtoken` command."""

from __future__ import annotations

from llmtoken.cli import main

main()
