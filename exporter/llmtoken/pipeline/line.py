"""The threads of the pipeline, the queues between them and their bounds.

`workers` readers take payloads off one queue; one writer takes what they have read and commits
everything that is waiting at once. While a commit is under way the next group gathers by
itself, so the group grows with the load. Only small groups wait for a moment, and only where
several payloads come at once: a transaction costs as much as a dozen reports.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from llmtoken.audit import Audit, Check, Indexer, Pruner, Rules
from llmtoken.call import Call
from llmtoken.config import Settings
from llmtoken.count import Calibration, Counter, TokenizerFiles
from llmtoken.errors import QueueFull, StorageUnavailable, tell
from llmtoken.metrics import Metrics
from llmtoken.payload import Content
from llmtoken.pipeline.job import Job, Outcome, Result, answer
from llmtoken.pipeline.reader import Reader
from llmtoken.reading import Reading, warm_up

log = logging.getLogger(__name__)

_LESSONS = 16
"""Pairs of estimate and report that are learned from before they are written down: a crash costs no more."""

_PACE = 0.01
"""Seconds from one commit of few reports to the next."""
_FEW = 16
"""Reports that are worth a transaction at once."""


class Pipeline:
    """Start it, submit payloads from one event loop, stop it; stopping finishes what was accepted."""

    def __init__(self, settings: Settings, audit: Audit, metrics: Metrics) -> None:
        self._settings = settings
        self._audit = audit
        self._metrics = metrics
        self._calibration = Calibration(audit.lessons())
        tokenizers = TokenizerFiles(settings.tokenizers)
        self._counter = Counter(tokenizers, self._calibration)
        self._reader = Reader(settings, metrics, self._counter)
        self._lock = threading.Lock()
        self._waiting_reports = 0
        self._waiting_bytes = 0
        self._stopping = False
        self._to_read: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._to_write: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._readers = [
            threading.Thread(target=self._read_jobs, args=(n == 0,), name=f"reader-{n}", daemon=True)
            for n in range(settings.workers)
        ]
        self._grouped_at = 0.0
        self._several = False
        self._writer = threading.Thread(target=self._write_jobs, name="writer", daemon=True)
        self._check = Check(audit)
        rules = Rules(settings.retain_bodies, settings.retain_calls, settings.retain_bytes)
        self._pruner = Pruner(audit, rules)
        metrics.show(lambda: audit.counters, began=audit.counters_began)
        metrics.show_losses(self._losses)
        self._indexer = Indexer(audit)
        metrics.watch(
            queue_reports=lambda: self._waiting_reports,
            queue_limit_reports=lambda: settings.queue_reports,
            queue_bytes=lambda: self._waiting_bytes,
            queue_limit_bytes=lambda: settings.queue_bytes,
            database_bytes=audit.size_bytes,
            database_limit_bytes=lambda: settings.retain_bytes,
            disk_available_bytes=audit.disk_available_bytes,
            disk_size_bytes=audit.disk_size_bytes,
            unbalanced=self._check.unbalanced,
            tokenizer_failures=lambda: tokenizers.failures,
        )

    def _losses(self) -> Mapping[tuple[str, str], int]:
        self._audit.settle()
        return self._audit.losses

    def start(self) -> None:
        """Start the threads."""
        for thread in (*self._readers, self._writer):
            thread.start()
        self._check.start()
        self._pruner.start()
        self._indexer.start()

    def stop(self) -> None:
        """Take nothing more, finish what is queued, end the threads. Blocks until done."""
        self._stopping = True
        for _ in self._readers:
            self._to_read.put(None)
        for thread in self._readers:
            thread.join()
        self._to_write.put(None)
        self._writer.join()
        self._check.stop()
        self._pruner.stop()
        self._indexer.stop()

    @property
    def full(self) -> bool:
        """Whether a payload would be refused now."""
        return (
            self._stopping
            or self._waiting_reports >= self._settings.queue_reports
            or self._waiting_bytes >= self._settings.queue_bytes
        )

    @property
    def waiting_reports(self) -> int:
        """Reports that wait for the database."""
        return self._waiting_reports

    @property
    def fullness(self) -> float:
        """How much of the queue is taken, by reports or by bytes, whichever is more: 1 is full."""
        return max(
            self._waiting_reports / self._settings.queue_reports, self._waiting_bytes / self._settings.queue_bytes
        )

    @property
    def unbalanced(self) -> int | None:
        """Series that differed from the audit's rows when last compared; `None` when that wasn't lately."""
        return self._check.unbalanced()

    async def submit(self, parse: Callable[[], Content], size: int) -> Outcome:
        """Queue a payload of `size` bytes and wait for its commit.

        `parse` runs in a worker. Raises what it raises (`NotJSON`, `ReportError`, `TooLarge`),
        `QueueFull` at once when there is no room, `StorageUnavailable` when the commit failed.
        """
        self.refuse_when_full()
        loop = asyncio.get_running_loop()
        job = Job(parse, size, loop.create_future(), loop)
        self._reserve(job.reports, job.size)
        self._to_read.put(job)
        return await job.answer

    def refuse_when_full(self) -> None:
        """Raise `QueueFull` when there is no room: cheap enough to ask before a body is read."""
        if self.full:
            self._metrics.refused()
            reason = "The collector is stopping" if self._stopping else "Too many reports are waiting"
            raise QueueFull(reason, hint="send it again after the time in Retry-After")

    # ── Readers ─────────────────────────────────────────────────────────────────────────

    def _read_jobs(self, first: bool) -> None:
        if first:
            warm_up(self._settings)
        while (job := self._to_read.get()) is not None:
            reports, size = job.reports, job.size
            result = self._reader.read(job)
            self._reserve(job.reports - reports, job.size - size)  # a payload weighs what it holds once it is unpacked
            if result is None:
                self._to_write.put(job)
            else:
                self._finish([(job, result)])

    # ── Writer ──────────────────────────────────────────────────────────────────────────

    def _write_jobs(self) -> None:
        while (group := self._next_group()) is not None:
            try:
                self._commit(group)
            except StorageUnavailable as error:
                log.error("The audit could not be written, %d payloads refused: %s", len(group), error)  # noqa: TRY400
                self._metrics.commit_failed()
                self._finish((job, error) for job in group)
            except Exception as error:  # noqa: BLE001 - told
                tell(log, error, "A commit went wrong, %d payloads refused", len(group))
                self._metrics.commit_failed()
                self._metrics.parse_failures("defect")
                self._finish((job, error) for job in group)
            else:
                self._keep_lessons(least=_LESSONS)
        self._keep_lessons(least=1)

    def _next_group(self) -> list[Job] | None:
        """Wait for a job, then take all that are waiting, up to the size of a transaction; `None` at the end."""
        group: list[Job] = []
        reports = 0
        while reports < self._settings.commit_reports:
            try:
                job = self._to_write.get(block=not group)
            except queue.Empty:
                break
            if job is None:
                if not group:
                    return None
                self._to_write.put(None)
                break
            if not group:
                self._let_gather(job)
            group.append(job)
            reports += len(job.readings)
        self._grouped_at, self._several = time.monotonic(), len(group) > 1
        return group

    def _let_gather(self, first: Job) -> None:
        """Keep the pace, so that others join; not where nobody does, nor where it is worth a commit already."""
        if self._several and len(first.readings) + self._to_write.qsize() < _FEW:
            time.sleep(max(self._grouped_at + _PACE - time.monotonic(), 0))

    def _commit(self, group: Sequence[Job]) -> None:
        readings = [reading for job in group for reading in job.readings]
        began = time.monotonic()
        told = [told for job in group if (told := job.told()) is not None]
        stored = self._audit.write([reading.record for reading in readings], self._metrics.labels, told)
        self._metrics.committed(time.monotonic() - began, sum(call is not None for call in stored))
        self._count(readings, stored)
        marks = iter(stored)
        self._finish((job, job.outcome([next(marks) for _ in job.readings])) for job in group)

    def _count(self, readings: Sequence[Reading], stored: Sequence[Call | None]) -> None:
        """Note what is new as it was stored; its tokens and costs were counted by the commit itself."""
        new = [(reading, call) for reading, call in zip(readings, stored, strict=True) if call is not None]
        self._metrics.record([call for _, call in new])
        self._metrics.reports(accepted=len(new), duplicates=len(readings) - len(new))
        for reading, call in new:
            for problem in reading.problems:
                self._metrics.parse_failures(problem)
            for seen in reading.comparisons:
                self._metrics.estimated(call, seen.token_type, seen.ratio)
            if reading.comparisons:
                self._calibration.learn(reading.comparisons)
            if reading.redactions or reading.unredacted:
                self._metrics.redacted(reading.redactions, failures=int(reading.unredacted))

    def _keep_lessons(self, *, least: int) -> None:
        try:
            self._calibration.keep(self._audit.keep, least=least)
        except StorageUnavailable as error:
            log.warning("What was learned about counting is kept later: %s", error)
        except Exception as error:  # noqa: BLE001 - told
            tell(log, error, "What was learned about counting could not be kept")
            self._metrics.parse_failures("defect")

    # ── Bounds ──────────────────────────────────────────────────────────────────────────

    def _reserve(self, reports: int, size: int) -> None:
        with self._lock:
            self._waiting_reports += reports
            self._waiting_bytes += size

    def _finish(self, results: Iterable[Result]) -> None:
        """Answer jobs; the event loop is woken once for all of them, which costs more than an answer."""
        finished = list(results)
        self._reserve(-sum(job.reports for job, _ in finished), -sum(job.size for job, _ in finished))
        finished[0][0].loop.call_soon_threadsafe(answer, finished)
