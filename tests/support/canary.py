"""A word that stands in prompts, replies and tokens of the tests, and must never stand in a log.

Whoever makes up a call or a token puts it in; `tests/conftest.py` looks for it wherever a log may be.
"""

CANARY = "canary-3f9c61-never-in-a-log"
