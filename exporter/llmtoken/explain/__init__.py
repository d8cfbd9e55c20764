"""How one exchange was read, step by step: which rule gave which number.

    explain(report, settings, calibration) -> Explanation

For a maintainer whose provider has just changed its format, so exchanges that can't be read
are its main use. No rule is written here a second time: the steps call the functions that
the pipeline calls, with the same input, and the call at the end is the pipeline's own. Where
a number came from is seen by sending numbers through the rules that remember it (`numbers`).
Must not know files, databases or how explanations are shown.
"""

from __future__ import annotations

from llmtoken.explain.account import Explanation, explain
from llmtoken.explain.fact import Fact, Step

__all__ = ["Explanation", "Fact", "Step", "explain"]
