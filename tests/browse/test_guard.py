"""Nobody gets past the guard without a token, and nothing leaks before."""

import re
from http.cookies import SimpleCookie

import httpx
import pytest

from llmtoken.browse import guard

HTML = {"accept": "text/html"}
EVERYWHERE = [
    *("/", "/audit", "/audit/calls", "/audit/calls.json", "/audit.csv?sql=select+1", "/-/calls/first"),
    *("/-/databases.json", "/-/static/app.css", "/llmtoken/llmtoken.css", "/nowhere", "/-/plugins"),
]
pytestmark = pytest.mark.anyio


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def logged_in(client: httpx.AsyncClient, token: str, there: str = "/") -> httpx.Response:
    return await client.post("/-/login", data={"token": token, "next": there})


@pytest.mark.parametrize("path", EVERYWHERE)
async def test_without_a_token_nothing_is_answered(site, path: str) -> None:
    async with site("secret") as client:
        for headers in ({}, bearer("wrong"), bearer(""), {"authorization": "Basic secret"}, {"cookie": "x=secret"}):
            answer = await client.get(path, headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert answer.json()["hint"] == "send Authorization: Bearer with a read token"


async def test_programs_send_the_token_and_every_valid_one_will_do(site) -> None:
    async with site("old", "new") as client:
        for token in ("old", "new"):
            assert (await client.get("/audit/calls.json", headers=bearer(token))).status_code == 200


async def test_people_are_asked_and_come_to_where_they_wanted(site) -> None:
    async with site("secret") as client:
        form = await client.get("/audit/calls?_size=5", headers=HTML)
        assert form.status_code == 401
        assert 'name="next" value="/audit/calls?_size=5"' in form.text
        assert "first" not in form.text
        answer = await logged_in(client, " secret ", "/audit/calls?_size=5")
        assert (answer.status_code, answer.headers["location"]) == (303, "/audit/calls?_size=5")
        assert (await client.get("/audit/calls", headers=HTML)).status_code == 200


async def test_the_cookie_can_be_read_by_no_script_and_sent_by_no_other_site(site) -> None:
    async with site("secret") as client:
        answer = await logged_in(client, "secret")
        cookie = SimpleCookie(answer.headers["set-cookie"])[guard.COOKIE]
        assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "strict", "/")
        assert "secret" not in answer.headers["set-cookie"]
    async with site("secret", base="https://127.0.0.1") as client:
        answer = await logged_in(client, "secret")
        assert SimpleCookie(answer.headers["set-cookie"])[guard.COOKIE]["secure"]


async def test_a_cookie_that_was_not_signed_here_opens_nothing(site) -> None:
    async with site("secret") as client:
        await logged_in(client, "secret")
        good = client.cookies[guard.COOKIE]
    value, stamp, signature = good.rsplit(".", 2)
    forged = f"{value}.{stamp}.{signature[:-1]}{'A' if signature[-1] != 'A' else 'B'}"
    async with site("secret") as client:
        # Signed by another run, whose key was another.
        for cookie in (good, forged, "reader", ""):
            answer = await client.get("/audit/calls.json", headers={"cookie": f"{guard.COOKIE}={cookie}"})
            assert answer.status_code == 401


async def test_a_cookie_ends_by_itself_and_by_logging_out(site, monkeypatch: pytest.MonkeyPatch) -> None:
    async with site("secret") as client:
        await logged_in(client, "secret")
        assert (await client.get("/")).status_code == 200
        monkeypatch.setattr(guard, "_VALID", -1)
        assert (await client.get("/")).status_code == 401
        monkeypatch.undo()
        assert (await client.get("/-/logout")).status_code == 303
        assert guard.COOKIE not in client.cookies
        assert (await client.get("/")).status_code == 401


@pytest.mark.parametrize("given", ["", "wrong", "secre", "secret2", "\udce9", "s" * 4000])
async def test_a_wrong_token_is_asked_for_again(site, given: str) -> None:
    async with site("secret") as client:
        answer = await client.post("/-/login", content=f"token={given}".encode("utf-8", "surrogateescape"))
        assert (answer.status_code, guard.COOKIE in client.cookies) == (401, False)
        assert re.search(r'class="wrong" +role="alert"', answer.text)


async def test_a_login_that_is_too_large_is_not_read(site) -> None:
    async with site("secret") as client:
        assert (await client.post("/-/login", content=b"token=" + b"x" * 1_000_000)).status_code == 413


@pytest.mark.parametrize("there", ["https://evil.example/", "//evil.example", "/\\evil.example", "evil"])
async def test_the_login_leads_nowhere_else(site, there: str) -> None:
    async with site("secret") as client:
        assert (await logged_in(client, "secret", there)).headers["location"] == "/"


async def test_what_comes_back_in_the_form_is_text(site) -> None:
    async with site("secret") as client:
        form = await client.get('/"><script>alert(1)</script>', headers=HTML)
        assert "<script>" not in form.text
        again = await logged_in(client, "wrong", '"><script>alert(1)</script>')
        assert "<script>" not in again.text


async def test_without_tokens_only_this_machine_by_its_own_name_is_answered(site) -> None:
    for base, status in (
        ("http://127.0.0.1:8001", 200),
        ("http://localhost", 200),
        ("http://[::1]:8001", 200),
        ("http://evil.example", 421),
        ("http://127.0.0.1.evil.example", 421),
        ("http://10.0.0.5:8001", 421),
    ):
        async with site(base=base) as client:
            assert (await client.get("/audit/calls.json")).status_code == status, base
    async with site(base="http://audit.example", hosts_checked=False) as client:
        assert (await client.get("/audit/calls.json")).status_code == 200


async def test_every_answer_tells_the_browser_to_be_careful(site) -> None:
    async with site("secret") as client:
        for headers in ({}, HTML, bearer("secret")):
            answer = await client.get("/", headers=headers)
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "private, no-store"
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "http" not in policy
            assert "access-control-allow-origin" not in answer.headers
