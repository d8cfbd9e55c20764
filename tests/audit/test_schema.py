"""The table, the domain's fields and the documentation say the same."""

import re
from typing import get_args, get_type_hints

import pytest
from msgspec.structs import fields
from sqlalchemy import Column

from llmtoken.audit.schema import FIELDS, LONG, SHORT, bodies, calls
from llmtoken.call import Call
from support.needs import ROOT

DOCUMENT = (ROOT / "docs" / "audit.md").read_text("utf-8")
KINDS = ("time", "decimal", "json", "integer", "number", "boolean", "text")
HINTS = get_type_hints(Call)


def test_the_columns_are_the_fields_of_a_call_in_their_order() -> None:
    assert [column.name for column in FIELDS] == [field.name for field in fields(Call)]


@pytest.mark.parametrize("column", FIELDS, ids=lambda column: column.name)
def test_a_column_may_be_null_where_the_field_may_be_unknown(column: Column[object]) -> None:
    # A duration that isn't a number has no other place to go.
    assert column.nullable == (type(None) in get_args(HINTS[column.name]) or column.name == "duration")


def test_the_documentation_has_every_column_word_for_word_and_no_other() -> None:
    documented = re.findall(rf"^\| `(\w+)` \| (?:{'|'.join(KINDS)}) \| (.+) \|$", DOCUMENT, re.MULTILINE)
    assert documented == [(column.name, column.doc) for column in (*calls.columns, *bodies.columns)]


def test_an_indexed_text_fits_into_an_entry_of_postgresqls_indexes() -> None:
    # 2,704 bytes an entry, up to 4 bytes a character.
    longest = {
        column.type.length for index in calls.indexes for column in index.columns if hasattr(column.type, "length")
    }
    assert max(length or 0 for length in longest) * 4 + 100 < 2704
    assert SHORT < LONG
