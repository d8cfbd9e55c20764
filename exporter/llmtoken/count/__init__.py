"""Tokens counted where the provider said nothing, and only there.

    Counter(tokenizers, calibration).complete(extraction) -> Inference
    Counter(tokenizers, calibration).compare(extraction) -> comparisons

Where usage is reported it is left alone. Where it is missing, prompt and reply are counted
by the model's own encoding, or by the nearest with its family's factor, and corrected by what
other calls of the model have taught (`llmtoken.count.calibration`); the usage's `source` says so:

`estimated`  the reply was whole; what was said on both sides was counted.
`partial`    the reply was cut; what had arrived was counted, a reported side is kept.
`unknown`    there was nothing to count: no texts, or an operation that uses no tokens.

Works without a network, from any thread, in bounded time (`llmtoken.count.tokenizer`); the
first call loads an encoding, so it belongs in a worker. Must not know wire formats,
storage or HTTP.
"""

from llmtoken.count.calibration import Calibration, Comparison, Lesson
from llmtoken.count.counter import Counter
from llmtoken.count.tokenizer_files import TokenizerFiles

__all__ = ["Calibration", "Comparison", "Counter", "Lesson", "TokenizerFiles"]
