"""The pipeline: bounded queue → reading in worker threads → one commit for many → metrics → answer.

Owns waiting, back-pressure and the order in which things happen. A payload is answered
only after its rows are committed, so an acknowledgement is a promise. Must not know HTTP,
SQL or OpenTelemetry.
"""

from llmtoken.pipeline.job import Outcome
from llmtoken.pipeline.line import Pipeline

__all__ = ["Outcome", "Pipeline"]
