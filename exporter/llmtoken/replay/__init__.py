"""Recorded exchanges, fed through the pipeline as if they happened now.

    source = replay.open_source(location, settings)
    summary = replay.replay(source, replay.destination(to, settings), ...)

`recorded` turns whatever was recorded into reports, `sources` recognises and reads what they
are kept in, `destinations` takes them to a database of our own or to a running collector.
Every exchange has a stable `request_id`, so a replay that is repeated, or goes on after an
interruption, counts nothing twice. Must not know how the pipeline reads or stores.
"""

from __future__ import annotations

from llmtoken.replay.destinations import destination
from llmtoken.replay.run import Summary, replay
from llmtoken.replay.sources import Item, Source, open_source

__all__ = ["Item", "Source", "Summary", "destination", "open_source", "replay"]
