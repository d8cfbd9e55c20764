"""Reading of decoded exchanges: which API, which model, how many tokens.

`extract` reads one exchange and never raises; `PROBLEMS` names what can be wrong with a
reading. Every wire API is one file that declares an `Api` and is listed in `registry`.
`provider` says who served it. Files that begin with an underscore are what they share.
Must not know storage, OpenTelemetry or HTTP servers.
"""

from llmtoken.extract.registry import PROBLEMS, extract

__all__ = ["PROBLEMS", "extract"]
