"""Reading a payload: its reports, and what can be wrong with them. Must not know what is done with them."""

from __future__ import annotations

import logging

from llmtoken.config import Settings
from llmtoken.count import Counter
from llmtoken.errors import LlmtokenError, tell
from llmtoken.metrics import Metrics
from llmtoken.pipeline.job import Job, Outcome
from llmtoken.reading import PROBLEMS, read_all
from llmtoken.redact import Redactor

log = logging.getLogger(__name__)

_LEDGER = "ledger"
"""The problem of a ledger that can't be read."""


class Reader:
    """Reads payloads in any thread."""

    def __init__(self, settings: Settings, metrics: Metrics, counter: Counter) -> None:
        key = settings.redact_key
        self._settings, self._metrics, self._counter = settings, metrics, counter
        self._redactor = Redactor(settings.redact, settings.redact_patterns, key.get_secret_value() if key else "")
        for problem in (*PROBLEMS, _LEDGER):
            metrics.parse_failures(problem, 0)  # shown at 0, so that the first one is an increase
        metrics.redacted(dict.fromkeys(self._redactor.rules, 0), failures=0)

    def read(self, job: Job) -> Outcome | Exception | None:
        """Read a payload into its job, whose bounds are then what it really takes.

        Gives what to answer at once; `None` when there is something to be committed before.
        """
        try:
            content = job.parse()
            job.reports, job.size = len(content.reports), content.size
            job.rejected, job.ledger = content.rejected, content.ledger
            if content.ledger_problem is not None:
                log.warning("A plugin's ledger is ignored: %s", content.ledger_problem)
                self._metrics.parse_failures(_LEDGER)
            job.readings = read_all(content.reports, self._settings, self._counter, self._redactor)
        except LlmtokenError as error:
            self._metrics.reports(rejected=1)
            return error
        except Exception as error:  # noqa: BLE001 - told
            tell(log, error, "A payload could not be read")
            self._metrics.parse_failures("defect")
            return error
        self._metrics.reports(rejected=len(job.rejected))
        return None if job.readings or job.ledger is not None else job.outcome([])
