"""Who called, told from the API key without telling the key."""

from __future__ import annotations

from support.stage import SetStage, Stage

SECRET = "a secret of the proxy's own"
KEY, OTHER = "sk-one-0123456789", "sk-two-0123456789"


def consumers(stage: Stage, keys: list[str]) -> list[str | None]:
    """How callers with these keys are named, one after the other."""
    before = len(stage.collector.reports)
    for number, key in enumerate(keys):
        stage.post(b"{}", f"Authorization: Bearer {key}", path=f"/{number}").read_head()
        stage.collector.wait_for(before + number + 1)
    return [report.consumer for report in stage.collector.reports[before:]]


def test_a_key_always_has_the_same_name_and_another_key_another(set_stage: SetStage) -> None:
    stage = set_stage(consumerFromKey=SECRET)
    first, again, other = consumers(stage, [KEY, KEY, OTHER])
    assert first
    assert first == again != other
    assert not [key for key in (KEY, OTHER) if key.encode() in stage.collector.raw]
    assert SECRET.encode() not in stage.collector.raw


def test_a_key_has_the_same_name_wherever_it_is_sent(set_stage: SetStage) -> None:
    stage = set_stage(consumerFromKey=SECRET)
    headers = ("Authorization: Bearer", "Authorization:", "X-Api-Key:", "Api-Key:", "X-Goog-Api-Key:")
    for number, header in enumerate(headers):
        stage.post(b"{}", f"{header} {KEY}").read_head()
        stage.collector.wait_for(number + 1)
    stage.post(b"{}", path=f"/v1beta/models?key={KEY}").read_head()
    assert len({report.consumer for report in stage.collector.wait_for(len(headers) + 1)}) == 1
    assert KEY.encode() not in stage.collector.raw


def test_the_name_depends_on_the_secret(set_stage: SetStage) -> None:
    stage = set_stage(consumerFromKey=SECRET)
    before = consumers(stage, [KEY])
    stage.traefik.configure(
        middleware={"apiurl": stage.collector.url, "flushInterval": "10ms", "consumerFromKey": SECRET[::-1]}
    )
    after = consumers(stage, [KEY])
    assert len({*before, *after}) == 2
