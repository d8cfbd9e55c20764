"""How much is shown: everything, or what 2,000 series hold for 20 models with 20 consumers each.

Lean leaves out labels and buckets, never a call: what is left says the same. What is gone can be
asked of the audit. Why so much and not less: docs/adr/metric-cardinality.md.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from llmtoken.metrics import instruments
from llmtoken.metrics.instruments import CONSUMER, Instrument

Detail = Literal["full", "lean"]

_EVERY_SECOND_BUCKET = (instruments.DURATION, instruments.TIME_TO_FIRST_CHUNK)
_SUM_AND_COUNT = (instruments.TIME_PER_OUTPUT_CHUNK, instruments.OUTPUT_SPEED)
_NO_CONSUMER = (instruments.CACHE_READ_TOKENS, instruments.CACHE_WRITE_TOKENS, instruments.REASONING_TOKENS)
LEFT_OUT = (instruments.TOKEN_USAGE, instruments.ESTIMATE_RATIO)


def shown(instrument: Instrument, detail: Detail) -> Instrument | None:
    """The instrument as it is shown; `None` when it isn't."""
    if detail == "full":
        return instrument
    if instrument in LEFT_OUT:
        return None
    if instrument in _EVERY_SECOND_BUCKET:
        return replace(instrument, buckets=instrument.buckets[1::2])
    if instrument in _SUM_AND_COUNT:
        return replace(instrument, buckets=())
    if instrument in _NO_CONSUMER:
        return replace(instrument, attributes=tuple(each for each in instrument.attributes if each != CONSUMER))
    return instrument
