"""What patterns can't tell of numbers: checksums, lengths, and whether it is somebody's number at all.

Each check takes a text and a match in it, and says where the finding ends: 0 when it is none.
"""

from __future__ import annotations

import re

_NOT_DIGIT = re.compile(rb"[^0-9]+")
_NOT_ALNUM = re.compile(rb"[^0-9A-Za-z]+")

# The registry of ISO 13616: characters of an IBAN, by country.
_IBAN_LENGTHS = {
    code: length
    for length, codes in {
        15: "NO",
        16: "BE",
        18: "DK FI FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for code in codes.split()
}

# Who issues payment cards: the first digits, and how many there are.
_ISSUERS = tuple(
    (re.compile(pattern), lengths)
    for pattern, lengths in (
        (rb"4", {13, 16, 19}),  # Visa
        (rb"5[1-5]|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)", {16}),  # Mastercard
        (rb"3[47]", {15}),  # American Express
        (rb"3(?:0[0-5]|[689])", {14, 16}),  # Diners Club
        (rb"35(?:2[89]|[3-8]\d)", {16, 17, 18, 19}),  # JCB
        (rb"6(?:011|4[4-9]|5)", {16, 17, 18, 19}),  # Discover
        (rb"62", {16, 17, 18, 19}),  # UnionPay
        (rb"5(?:0|[6-8])|6(?:304|759|76[1-3])", {13, 14, 15, 16, 17, 18, 19}),  # Maestro
    )
)

_LEAST_PHONE, _MOST_PHONE = 8, 15
"""Digits of a phone number with its country (E.164 has the upper one)."""

_PICTURE = re.compile(rb"@[0-9.]+x\.[a-z0-9]+$", re.IGNORECASE)
_NOBODY = frozenset({b"git", b"hg", b"svn"})


def email(text: bytes, start: int, end: int) -> int:
    """Not `git@github.com`, which is no person, nor `icon@2x.png`."""
    found = text[start:end]
    return 0 if _PICTURE.search(found) or found.partition(b"@")[0] in _NOBODY else end


def phone(text: bytes, start: int, end: int) -> int:
    """As many digits as a phone number has, and not a part of a longer number."""
    among_numbers = text[max(0, start - 3) : start].rstrip(b" -/")[-1:].isdigit() and not text.startswith(b"+", start)
    if among_numbers or _within_number(text, start, end):
        return 0
    digits = len(_NOT_DIGIT.sub(b"", text[start:end])) - 2 * text.startswith(b"00", start)
    return end if _LEAST_PHONE <= digits <= _MOST_PHONE else 0


def iban(text: bytes, start: int, end: int) -> int:
    """A country that has IBANs, its length, and the checksum of ISO 7064 (97 leaves 1)."""
    length = _IBAN_LENGTHS.get(text[start : start + 2].upper().decode("ascii", "replace"))
    if length is None:
        return 0
    position, count = start, 0
    while count < length and position < end:
        count += text[position : position + 1].isalnum()
        position += 1
    if count < length or text[position : position + 1].isalnum():
        return 0
    compact = _NOT_ALNUM.sub(b"", text[start:position]).decode().upper()
    moved = compact[4:] + compact[:4]
    return position if int("".join(str(int(character, 36)) for character in moved)) % 97 == 1 else 0


def payment_card(text: bytes, start: int, end: int) -> int:
    """A length and first digits that somebody issues, and Luhn's checksum."""
    digits = _NOT_DIGIT.sub(b"", text[start:end])
    if _within_number(text, start, end):
        return 0
    issued = any(len(digits) in lengths and pattern.match(digits) for pattern, lengths in _ISSUERS)
    return end if issued and _luhn(digits) else 0


def _luhn(digits: bytes) -> bool:
    """ISO/IEC 7812: every second digit from the right counts double, its own digits added."""
    values = [digit - 48 for digit in reversed(digits)]
    return (sum(values[::2]) + sum(sum(divmod(2 * value, 10)) for value in values[1::2])) % 10 == 0


def _within_number(text: bytes, start: int, end: int) -> bool:
    """Whether the match is only a part of a number, such as the decimals of 0.4111111111111111."""
    before, behind = text[max(0, start - 2) : start], text[end : end + 2]
    return (
        before[-1:].isdigit()
        or behind[:1].isdigit()
        or (before[-1:] == b"." and before[:1].isdigit())
        or (behind[:1] == b"." and behind[1:].isdigit())
        or (behind[:1] in (b"e", b"E") and behind[1:] in (b"+", b"-"))
    )
