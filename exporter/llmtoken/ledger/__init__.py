"""The loss ledger: what plugins say of themselves, turned into what is lost and what is missing.

Every report carries its sequence number and its plugin's running totals since that plugin's
boot, and every batch the plugin's ledger at the time of sending. Must not know where the
state of a boot is kept (`llmtoken.audit.boots` does) or how losses are shown.

Why so: docs/adr/loss-ledger.md.
"""

from __future__ import annotations

from llmtoken.ledger.boot import GRACE, LATE, MISSING, Boot, Found, Told, boots_of, take
from llmtoken.ledger.losses import DROPPED, FAILED, OTHER, UNKNOWN

__all__ = [
    "DROPPED",
    "FAILED",
    "GRACE",
    "LATE",
    "MISSING",
    "OTHER",
    "UNKNOWN",
    "Boot",
    "Found",
    "Told",
    "boots_of",
    "take",
]
