"""Who may connect, how often and how slowly, and what browsers are told about our answers.

Owns tokens, rates, connections and security headers. Every bound holds in bounded memory. Must not
know routes, reports or storage.
"""

from __future__ import annotations

from llmtoken.guard.browsers import SECURITY_HEADERS, SecurityHeaders, policy
from llmtoken.guard.connections import Limits, guarded, make_room
from llmtoken.guard.throttle import App, Receive, Scope, Send, Throttle, Throttled, client_of
from llmtoken.guard.tokens import Tokens

__all__ = [
    "SECURITY_HEADERS",
    "App",
    "Limits",
    "Receive",
    "Scope",
    "SecurityHeaders",
    "Send",
    "Throttle",
    "Throttled",
    "Tokens",
    "client_of",
    "guarded",
    "make_room",
    "policy",
]
