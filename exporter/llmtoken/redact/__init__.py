"""Redaction: what must not be stored is taken out of a record before it is written.

Owns the rules, where they look and what stands in a finding's place. A record has passed when
nothing that a rule knows is left in it; one that can't be brought there keeps its numbers and
loses its texts. Numbers are worked out before, from what was really said. Must not know
providers, storage or HTTP.

How a body is searched, and what that costs: docs/adr/redaction.md.
"""

from __future__ import annotations

from llmtoken.redact.redactor import Redacted, Redactor

__all__ = ["Redacted", "Redactor"]
