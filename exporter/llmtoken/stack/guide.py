"""What to say when the stack runs: where things are, and what to try next."""

from __future__ import annotations

import json
import os
import shlex

from llmtoken.config import without_password
from llmtoken.stack.plan import Plan
from llmtoken.stack.upstream import Answer

_LATEST = """\
select started_at, request_model, stream, input_tokens, output_tokens, usage_source, http_status \
from calls order by started_at desc limit 5"""
_NEWEST = "select request_id from calls order by started_at desc limit 1"


def where(plan: Plan) -> list[tuple[str, str, str]]:
    """What runs: name, address, and what it is for."""
    behind = "the demo model server: no model runs, its texts are canned" if plan.demo else plan.upstream
    rows = [
        ("Traefik", plan.proxy, f"your clients' base URL (OpenAI's add /v1); behind it is {behind}"),
        ("collector", plan.collector, "metrics, audit, API documentation"),
    ]
    if plan.prometheus:
        rows.append(("Prometheus", plan.prometheus, "scrapes the collector"))
    rows.append(("database", _near(plan.database), "every call, with its bodies"))
    rows.append(("logs", _near(str(plan.data / "logs")), "of every program"))
    return rows


def remarks(plan: Plan, answer: Answer) -> list[str]:
    """What the user should know, because it isn't as they may expect."""
    found = []
    if answer.problem:
        found.append(
            f"Nothing answers at {plan.upstream} yet (GET /v1/models: {answer.problem}). Clients get 502 "
            "from Traefik until it does; start it, or stop and give another --upstream (make: UPSTREAM=…)."
        )
    if not plan.prometheus:
        found.append("Prometheus isn't installed (not on PATH), so none is started; /metrics is there all the same.")
    return found


def what_next(plan: Plan, answer: Answer) -> list[tuple[str, str]]:
    """Things to try: what each shows, and the command."""
    model = answer.model or "YOUR-MODEL"
    # Who tells his models to anybody needs no key.
    key = "" if answer.model else "-H 'authorization: Bearer YOUR-KEY' "
    body = json.dumps({"model": model, "stream": True, "messages": [{"role": "user", "content": "Say hello."}]})
    chat = f"{plan.proxy}/v1/chat/completions -H 'content-type: application/json' {key}-d {shlex.quote(body)}"
    steps = [
        ("a streamed chat through Traefik", f"curl -N {chat}"),
        ("the counters it moved", f"curl -s {plan.collector}/metrics | grep '^gen_ai_client_inference_usage'"),
    ]
    if "://" in plan.database:
        return steps
    database = shlex.quote(_near(plan.database))
    token = '-H "authorization: Bearer $LLMTOKEN_READ_TOKEN" ' if plan.guarded else ""
    newest = f"$(sqlite3 {database} '{_NEWEST}')"
    return [
        *steps,
        ("its row in the audit", f"sqlite3 -box {database} '{_LATEST}'"),
        ("the whole record", f'curl -s {token}"{plan.collector}/api/calls/{newest}?bodies=true"'),
    ]


def _near(path: str) -> str:
    """A path as one would type it from here."""
    if "://" in path:
        return without_password(path)
    relative = os.path.relpath(path)
    return relative if not relative.startswith(os.pardir) else path
