"""Finding what rules look for in a text, and taking it out so that the text stays what it was otherwise.

Within JSON only the characters of strings change, so JSON stays JSON; a number becomes null.
Must not know bodies or records.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import re2

from llmtoken.errors import ConfigError
from llmtoken.redact import base64_text
from llmtoken.redact.rules import RULES, SETS, Rule
from llmtoken.redact.views import ONE_CHARACTER, Span, unescaped, unescaped_view

MOST = 20_000
"""Findings in one text; where there are more, something else is wrong with it."""

_MEMORY = 64 * 1024 * 1024
"""Bytes that the automaton of all rules may take before it begins anew."""

_HEAD = 64

_DEPTH = 2
"""How often base64 is undone, one within the other: each level is looked at twice for every time of the one around."""

_ESCAPED = r"\\u00(?:[2-7]|[aA]0)|\\/|%(?:0[9AaDd]|[2-9A-Fa-f][0-9A-Fa-f])"
"""Escapes that may stand within what is looked for."""

_WITHIN_STRING = re.compile(rb'(?:\\.|[^"\\\x1e])*+', re.DOTALL)
_LINE_END = re.compile(rb"[\r\n]+(?:data: ?)?")
_AROUND = 128
_NUMBER_BEFORE = re.compile(rb'(?:"\s*+:\s*+|\[[\s0-9,.eE+-]*+)\Z')
_NUMBER_BEHIND = re.compile(rb"\s*(?:[,}\]\r\n]|$)")
_MARKER = re.compile(rb"\[redacted:[a-z0-9_]+\]")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")


class Unredactable(Exception):
    """Something was found that can't be taken out."""


class Found(NamedTuple):
    """Where, and by which rule."""

    start: int
    end: int
    rule: str


class Edit(NamedTuple):
    """What stands in a span's place."""

    start: int
    end: int
    text: bytes


def marker(rule: str) -> bytes:
    """What stands where something was taken out."""
    return f"[redacted:{rule}]".encode()


class Search:
    """All rules of a configuration as one. Raises `ConfigError` for a name or pattern that is none."""

    def __init__(self, names: Iterable[str], patterns: Mapping[str, str]) -> None:
        self.rules = _chosen(names, patterns)
        self._compiled = [re2.compile(rule.pattern, _options()) for rule in self.rules]
        self._base64 = re2.compile(base64_text.TOKEN, _options())
        options = _options()
        options.max_mem = _MEMORY
        self._any = re2.Set.SearchSet(options)
        for rule in self.rules:
            self._any.Add(rule.pattern)
        self._any.Add(base64_text.TOKEN)
        self._any.Compile()
        self._hints = re2.Set.SearchSet(options)
        for rule in self.rules:
            self._hints.Add(_hint(rule))
        self._hints.Add(base64_text.TEXT)
        self._hints.Add(_ESCAPED)
        self._hints.Compile()
        self._all_escapes = bool(patterns)

    def may_find(self, text: bytes, together: bytes = b"") -> bool:
        """Whether `redact` might change a text, or what belongs `together` in it: false is certain, and cheap to know.

        Nobody cares whether there is base64 in the latter: of what was put together, most looks like it.
        """
        # One look at both: each lets go of the interpreter's lock, and gets it back late.
        whole = text + b"\n\n" + together if together else text
        if self._all_escapes and b"\\" in whole:
            return True
        hints = self._hints.Match(whole)
        if together and hints == [len(self.rules)]:
            hints = self._hints.Match(text)
        return bool(hints)

    def find(self, text: bytes) -> list[Found]:
        """Everything that is found in a text, in order; what is within another finding isn't told."""
        return self._found(text, self._matching(text))

    def redact(self, text: bytes, counts: Counter[str], *, structured: bool, depth: int = _DEPTH) -> bytes:
        """The text without what is found in it, escaped or not. Raises `Unredactable`."""
        for _ in range(3):
            plain = unescaped(text)
            matches = self._matching(plain)
            if not matches:
                return text
            found = self._found(plain, matches)
            hidden = list(self._in_base64(plain, counts, depth)) if depth and len(self.rules) in matches else []
            if not found and not hidden:
                return text
            view = None if plain is text else unescaped_view(text)
            edits: list[Edit] = []
            for start, end, rule in found:
                for span in [(start, end)] if view is None else view.source(start, end):
                    edits += _edits(text, span, rule) if structured else [Edit(*span, marker(rule))]
                counts[rule] += 1
            for start, end, replacement in hidden:
                spans = [(start, end)] if view is None else view.source(start, end)
                edits.append(Edit(spans[0][0], spans[-1][1], replacement))
            text = edited(text, edits)
        if self.find(unescaped(text)):
            raise Unredactable("something is found again and again")
        return text

    def _matching(self, text: bytes) -> Sequence[int]:
        """Which patterns find anything at all, in one pass."""
        return self._any.Match(text) or ()

    def _found(self, text: bytes, matches: Iterable[int]) -> list[Found]:
        found: list[Found] = []
        for number in sorted(matches):
            if number < len(self.rules):
                self._find_one(text, number, found)
        found.sort(key=_place)
        apart: list[Found] = []
        for one in found:
            if not apart or one.end > apart[-1].end:
                apart.append(one)
        return apart

    def _find_one(self, text: bytes, number: int, found: list[Found]) -> None:
        rule, compiled = self.rules[number], self._compiled[number]
        group = 1 if compiled.groups else 0
        position = 0
        while (match := compiled.search(text, position)) is not None:
            start, end = match.span(group)
            if rule.check is not None and start >= 0:
                end = rule.check(text, start, end)
            if start < end and not _MARKER.fullmatch(text, start, end):  # in the place of what was found before
                found.append(Found(start, end, rule.name))
                if len(found) > MOST:
                    raise Unredactable(f"more than {MOST} findings")
            position = match.start() + 1 if rule.short and end <= start else max(match.end(), match.start() + 1)

    def _in_base64(self, text: bytes, counts: Counter[str], depth: int) -> Iterator[Edit]:
        """Texts within a text, such as files in data URLs."""
        for match in self._base64.finditer(text):
            inner = _text_in(match.group())
            if inner is None:
                continue
            mine: Counter[str] = Counter()
            changed = self.redact(inner, mine, structured=inner[:1] in (b"{", b"["), depth=depth - 1)
            if mine:
                counts.update(mine)
                yield Edit(match.start(), match.end(), base64.b64encode(changed))


def edited(text: bytes, edits: Sequence[Edit]) -> bytes:
    """The text with what stands in other places; of edits that overlap the first one says what."""
    parts, position = [], 0
    for start, end, replacement in sorted(edits, key=_place):
        if start < position:  # a part of what was taken out already, but perhaps not all of it
            position = max(position, end)
            continue
        parts += [text[position:start], replacement]
        position = end
    return b"".join([*parts, text[position:]])


def _place(place: Edit | Found) -> tuple[int, int]:
    return place.start, -place.end


def _edits(text: bytes, span: Span, rule: str) -> Iterator[Edit]:
    """What takes a finding out of JSON, or out of lines with JSON, and leaves quotes and line ends."""
    start, end = span
    if text[start:end].isdigit() and _is_number(text, start, end):
        yield Edit(start, end, b"null")
        return
    within = _WITHIN_STRING.match(text, start, end)
    if within is None or within.end() == start:
        raise Unredactable(f"{rule} finds quotes and not what is between them")
    replacement = marker(rule)
    for line in _LINE_END.finditer(text, start, within.end()):
        yield Edit(start, line.start(), replacement)
        start, replacement = line.end(), b""
    yield Edit(start, within.end(), replacement)


def _is_number(text: bytes, start: int, end: int) -> bool:
    """Whether digits are a number of JSON and not a part of a string, as far as what stands around tells."""
    before = text[max(0, start - _AROUND) : start]
    return _NUMBER_BEFORE.search(before) is not None and _NUMBER_BEHIND.match(text, end) is not None


def _text_in(token: bytes) -> bytes | None:
    """The text that base64 holds; none when it is something else."""
    body = token.rstrip(b"=")
    if _CONTROL.search(_decoded(body[:_HEAD]) or b"\0"):
        return None
    inner = _decoded(body)
    if inner is None:
        return None
    try:
        inner.decode()
    except UnicodeDecodeError:
        return None
    return inner


def _decoded(body: bytes) -> bytes | None:
    standard = body.replace(b"-", b"+").replace(b"_", b"/")
    try:
        return base64.b64decode(standard + b"=" * (-len(standard) % 4), validate=True)
    except binascii.Error:
        return None


def _hint(rule: Rule) -> str:
    r"""What a text has in which the rule finds something, JSON's escapes and all: `\n` is no part of a word there."""
    return rule.hint or rule.pattern.replace(r"\b", rf"(?:\b|{ONE_CHARACTER})")


def _options() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    return options


def _chosen(names: Iterable[str], patterns: Mapping[str, str]) -> list[Rule]:
    chosen: dict[str, Rule] = {}
    for name in names:
        if name not in SETS and name not in RULES:
            raise ConfigError(
                f"redact: there is no rule or set {name!r}",
                hint=f"sets: {', '.join(SETS)}; rules: {', '.join(RULES)}; your own are written in redact_patterns",
            )
        chosen.update((each, RULES[each]) for each in SETS.get(name, (name,)))
    for name, pattern in patterns.items():
        chosen[name] = _own(name, pattern)
    return list(chosen.values())


_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")


def _own(name: str, pattern: str) -> Rule:
    if name in RULES or name in SETS or not _NAME.fullmatch(name):
        raise ConfigError(
            f"redact_patterns: {name!r} can't be the name of a pattern",
            hint="use small letters, digits and underscores, and no name that llmtoken has already",
        )
    try:
        compiled = re2.compile(pattern, _options())
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else error
        raise ConfigError(
            f"redact_patterns: {name} isn't a pattern that RE2 takes: {reason}",
            hint="https://github.com/google/re2/wiki/Syntax; it has neither look-around nor backreferences",
        ) from error
    if compiled.groups > 1:
        raise ConfigError(f"redact_patterns: {name} has more than one group", hint="write the others as (?:…)")
    if compiled.search(b"") is not None:
        raise ConfigError(f"redact_patterns: {name} finds nothing at all, too", hint="let it match something")
    return Rule(name, pattern)
