"""What can be seen on `/metrics`: every instrument, declared once, and the recording into them.

`instruments` declares, `labelling` (of `names`) keeps what clients send bounded, `ledger` (of
`losses` and `gaps`) what plugins say of themselves, `histograms` and `totals` are what calls add
up to, `recorder` counts, `exposition` writes the text, `document` docs/metrics.md. Must not know
SQL or HTTP.
"""

from llmtoken.metrics.recorder import Metrics

__all__ = ["Metrics"]
