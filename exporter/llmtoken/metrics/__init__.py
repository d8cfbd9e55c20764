"""What can be seen on `/metrics`: every instrument, declared once, and the recording into them.

`instruments` declares, `detail` says how much of it is shown, `labelling` (of `names`) keeps what clients
send bounded, `ledger` (of `losses` and `gaps`) what plugins say of themselves, `calls` (of
`histograms`) and `totals` are what calls add up to, kept `beside` the SDK, `recorder` counts,
`exposition` writes the text, `otlp` pushes, `document` writes docs/metrics.md. Must not know SQL or
HTTP.
"""

from llmtoken.metrics.recorder import Metrics

__all__ = ["Metrics"]
