"""A record without what the rules look for, or without its texts where that can't be had.

Owns the order of looking, and what stands for a name that must stay itself. Must not know
which texts a record has (`texts` does), how they are searched or how bodies are wrapped.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from llmtoken.call import Call, Record
from llmtoken.errors import tell
from llmtoken.exchange import Body, Exchange
from llmtoken.redact import wrapped
from llmtoken.redact.fragments import Leaf, located, slots
from llmtoken.redact.search import Edit, Search, edited, marker
from llmtoken.redact.texts import NAMES, Texts, as_bytes, is_form, joined_pieces, of_call, of_record
from llmtoken.redact.views import joined, unescaped, unescaped_view

log = logging.getLogger(__name__)

FAILED = "failed"
"""What `details` say under `redaction` of a call whose texts are not stored, because something in them defied us."""

_TOKEN_BYTES = re.compile(rb'("bytes"\s*:\s*)\[[0-9,\s]*\]')
"""What tokens with their probabilities are once more, as numbers."""

_IDENTITIES = ("request_id", "response_id")
"""Names by which a call is known again: two of them must not become one."""

_UNKNOWN: dict[str, Any] = {name: None for name in NAMES if name != "request_id"}


class Redacted(msgspec.Struct, frozen=True):
    """The record as it may be stored, how often each rule found something, and whether its texts were given up."""

    record: Record
    counts: Mapping[str, int] = {}
    failed: bool = False


class Redactor:
    """Redacts records, from any thread. Raises `ConfigError` when a rule isn't one.

    With a `key` a consumer whose name is redacted keeps one of his own, the same wherever the key is.
    """

    def __init__(self, names: Iterable[str], patterns: Mapping[str, str], key: str = "") -> None:
        self._search = Search(names, patterns)
        self._key = key.encode()

    @property
    def rules(self) -> tuple[str, ...]:
        """Their names; none when there is nothing to look for."""
        return tuple(rule.name for rule in self._search.rules)

    def redact(self, record: Record, exchange: Exchange | None) -> Redacted:
        """The record without findings. `exchange` is what the bodies are texts of, `None` when nobody could tell.

        It never raises: what can't be redacted isn't stored.
        """
        return self.redact_all([(record, exchange)])[0]

    def redact_all(self, given: Sequence[tuple[Record, Exchange | None]]) -> list[Redacted]:
        """As `redact`, of several: most have nothing in them, which one look at all of them tells."""
        if not self._search.rules:
            return [Redacted(record) for record, _ in given]
        texts: list[Texts | None] = [None] * len(given)
        try:
            texts = [of_record(*one) for one in given]
            clean = self._are_clean(filter(None, texts))
        except Exception:  # noqa: BLE001 - told of the one that it is about, which meets it again
            clean = False
        if len(given) == 1 and not clean:
            texts = [None]  # were looked at by themselves
        return [
            Redacted(record) if clean and said else self._redact(record, exchange, said)
            for (record, exchange), said in zip(given, texts, strict=True)
        ]

    def _redact(self, record: Record, exchange: Exchange | None, texts: Texts | None) -> Redacted:
        """One record, of which `texts` may still tell that there is nothing in it."""
        counts: Counter[str] = Counter()
        try:
            if texts and self._are_clean([texts]):
                return Redacted(record)
            return Redacted(self._redacted(record, exchange, counts), counts)
        except Exception as error:  # noqa: BLE001 - told, and counted by the caller; nothing may get through
            tell(log, error, "Could not redact a call, so its texts are not stored")
            return Redacted(self._without_texts(record), {}, failed=True)

    def name(self, text: str) -> str:
        """What a consumer's name is stored as."""
        found = self._search.find(unescaped(as_bytes(text)))
        if not found:
            return text
        return _pseudonym(text, found[0].rule, self._key) if self._key else self._text(text, Counter())

    def _are_clean(self, texts: Iterable[Texts]) -> bool:
        """Whether there is certainly nothing to find in any of these."""
        said: list[str] = []
        together: list[str] = []
        for one in texts:
            said += one.said
            together += one.together
        return not self._search.may_find(_apart(said), _apart(together))

    # ── Bodies ──────────────────────────────────────────────────────────────────────────

    def _redacted(self, record: Record, exchange: Exchange | None, counts: Counter[str]) -> Record:
        request, response = record.request_body, record.response_body
        if exchange is None and (request or response):
            raise ValueError("the bodies could not be decoded")
        if exchange is not None:
            request = self._body(request, exchange.request, counts)
            response = self._body(response, exchange.response, counts)
        call = self._call(record.call, counts)
        if counts:
            call = replace(call, details={**call.details, "redactions": counts.total()})
        return replace(record, call=call, request_body=request, response_body=response)

    def _body(self, text: str | None, body: Body, counts: Counter[str]) -> str | None:
        if not text:
            return text
        if not body.encoded:
            data = as_bytes(text)
            changed = self._inner(data, body, counts)
            return text if changed is data else _string(changed)
        inner, close = wrapped.opened(text, stream=body.framing == "aws_event_stream")
        changed = self._inner(inner, body, counts)
        return text if changed is inner else close(changed)

    def _inner(self, text: bytes, body: Body, counts: Counter[str]) -> bytes:
        json = body.framing == "json" and text.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[", b'"')
        structured = json or body.is_stream
        if is_form(body, text):  # which has plus signs for spaces
            changed = self._search.redact(text.replace(b"+", b" "), counts, structured=False)
            return changed.replace(b" ", b"+") if counts else text
        in_pieces = structured and self._in_pieces(body)
        # In a stream a finding goes on in the next piece, and what a piece has of it may look whole. The messages
        # of a list are apart: what is whole in one of them doesn't take the next one's first word along.
        if in_pieces and body.is_stream:
            text = self._pieces(text, body, counts)
        text = self._search.redact(text, counts, structured=structured)
        if in_pieces and not body.is_stream:
            text = self._pieces(text, body, counts)
        return text

    def _in_pieces(self, body: Body) -> bool:
        """Whether something may be found in what belongs together, at the cost of that alone."""
        if body.truncated:
            return True  # what was cut off isn't among the values
        return bool(self._search.find(unescaped(_apart(joined_pieces(body)))))

    def _pieces(self, text: bytes, body: Body, counts: Counter[str]) -> bytes:
        """The text without what is found in pieces: the first one becomes the marker, the others go."""
        edits: list[Edit] = []
        for leaves in slots(located(text, body.framing), Leaf):
            together = joined(text, leaves)
            view = unescaped_view(together.text)
            for start, end, rule in self._search.find(view.text):
                spans = [span for part in view.source(start, end) for span in together.source(*part)]
                edits += [Edit(*span, b"" if number else marker(rule)) for number, span in enumerate(spans)]
                counts[rule] += 1
        return _TOKEN_BYTES.sub(rb"\1null", edited(text, edits)) if edits else text

    # ── The call ────────────────────────────────────────────────────────────────────────

    def _call(self, call: Call, counts: Counter[str]) -> Call:
        if not self._search.may_find(_apart(of_call(call))):
            return call
        changed: dict[str, Any] = {}
        for name in NAMES:
            text = getattr(call, name)
            if text and (clean := self._text(text, counts)) != text:
                changed[name] = self._identity(text) if name in _IDENTITIES else clean
        if "consumer" in changed and call.consumer:
            changed["consumer"] = self.name(call.consumer)
        return replace(
            call,
            **changed,
            finish_reasons=tuple(self._text(reason, counts) for reason in call.finish_reasons),
            labels={self._text(name, counts): self._text(value, counts) for name, value in call.labels.items()},
            details={
                name: self._text(value, counts) if isinstance(value, str) else value
                for name, value in call.details.items()
            },
        )

    def _text(self, text: str, counts: Counter[str]) -> str:
        data = as_bytes(text)
        changed = self._search.redact(data, counts, structured=False)
        return text if changed is data else _string(changed)

    def _identity(self, text: str) -> str:
        found = self._search.find(unescaped(as_bytes(text)))
        return _pseudonym(text, found[0].rule if found else "text", self._key)

    def _harmless(self, request_id: str) -> str:
        try:
            return request_id if self._text(request_id, Counter()) == request_id else self._identity(request_id)
        except Exception:  # noqa: BLE001 - counted by the caller; whatever it is, the name isn't told
            return _pseudonym(request_id, "text", self._key)

    def _without_texts(self, record: Record) -> Record:
        """Numbers, times and identity alone."""
        call = record.call
        numbers = {name: value for name, value in call.details.items() if not isinstance(value, str)}
        bare = replace(
            call,
            **_UNKNOWN,
            request_id=self._harmless(call.request_id),
            finish_reasons=(),
            labels={},
            details={**numbers, "redaction": FAILED},
        )
        return replace(record, call=bare, request_body=None, response_body=None)


def _pseudonym(text: str, rule: str, key: bytes) -> str:
    """A name for a name: the same for the same, and not to be read."""
    digest = hmac.new(key, as_bytes(text), hashlib.sha256).hexdigest()[:24]
    return f"redacted-{rule}-{digest}"


def _apart(texts: Iterable[str]) -> bytes:
    """All texts as one, with a blank line between them."""
    return as_bytes("\n\n".join(texts))


def _string(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")
