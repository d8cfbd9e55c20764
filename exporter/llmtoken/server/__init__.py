"""The HTTP face: routes, authentication, lifespan.

Turns requests into payloads and outcomes into answers. Every error answer has one shape:
`{"status": "error", "error": what was wrong, "hint": how to mend it}`. Must not know SQL,
metrics' names or the meaning of reports.
"""

from llmtoken.server.app import create_app, run, serve

__all__ = ["create_app", "run", "serve"]
