"""What kind of error a reply is."""

from __future__ import annotations

from typing import Any

import pytest

from llmtoken.extract._errors import error_type


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": {"type": "invalid_request_error", "code": "model_not_found"}}, "invalid_request_error"),
        ({"error": {"code": "401", "message": "no"}}, "401"),
        ({"error": {"code": 401, "message": "no"}}, "401"),
        ({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}, "RESOURCE_EXHAUSTED"),
        ({"type": "error", "error": {"type": "overloaded_error"}}, "overloaded_error"),
        ({"object": "error", "type": "invalid_request_error", "code": 1500}, "invalid_request_error"),
        ({"error": "too long", "error_type": "validation"}, "validation"),
        ({"__type": "com.amazon.coral#ThrottlingException"}, "ThrottlingException"),
        ({"error": {"type": "error", "code": "NOT_FOUND"}}, "NOT_FOUND"),
        ({"message": "no", "type": "invalid_request_error", "code": "wrong_api_key"}, "invalid_request_error"),
        ({"message": "no", "code": "InvalidApiKey"}, "InvalidApiKey"),
        ({"message": "no", "code": 400, "reason": "INVALID_REQUEST_BODY"}, "INVALID_REQUEST_BODY"),
        ({"message": "no", "type": "Bad Request", "code": "400"}, "http_400"),
        ({"error": "model not found"}, "http_400"),
        ({"error": {"message": "no", "type": ""}}, "http_400"),
        ({"error": {"type": "a whole message " * 20}}, "http_400"),
        ({"message": "no"}, "http_400"),
        ({"detail": [{"type": "missing"}]}, "http_400"),
        (None, "http_400"),
    ],
)
def test_a_failed_request_has_the_providers_word_or_its_status(body: Any, expected: str) -> None:
    assert error_type(400, {}, body) == expected


def test_aws_names_the_error_in_a_header() -> None:
    headers = {"x-amzn-errortype": "ValidationException:http://internal.amazon.com/coral/"}
    assert error_type(400, headers, {"message": "no"}) == "ValidationException"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": {"code": 502}}, "502"),
        ({"error": "no"}, "error"),
        ({"error": {}}, "error"),
        ({"error_code": 110, "error_msg": "no"}, "110"),
        ({"code": 11200, "message": "no", "sid": "s"}, "11200"),
        ({"code": 0, "message": "Success", "sid": "s"}, None),
        ({"error": None, "id": "x"}, None),
        ({"id": "x"}, None),
    ],
)
def test_an_error_in_a_200_is_one_too(body: Any, expected: str | None) -> None:
    assert error_type(200, {}, body) == expected


def test_a_status_that_is_a_number_is_not_taken_for_azures_code() -> None:
    filtered = {"error": {"message": "no", "type": None, "code": "content_filter", "status": 400}}
    assert error_type(400, {}, filtered) == "content_filter"


@pytest.mark.parametrize("body", [{"detail": "x"}, {"detail": [{"type": "missing"}]}, {"message": "x"}, {"errors": []}])
def test_an_error_without_a_word_for_itself_is_known_by_its_status(body: object) -> None:
    assert error_type(422, {}, body) == "http_422"
