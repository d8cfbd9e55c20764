"""Settings: where they come from, what is refused, and what the user is told."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from llmtoken import config
from llmtoken.cli import settings as settings_page
from llmtoken.config import Settings, checks, load
from llmtoken.errors import ConfigError
from support.needs import ROOT


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(config.variable(name), raising=False)


def toml(folder: Path, text: str) -> Path:
    file = folder / "llmtoken.toml"
    file.write_text(text, "utf-8")
    return file


def test_the_defaults_listen_on_loopback_without_a_token() -> None:
    settings = load()
    assert config.is_loopback(settings.host)
    assert not settings.tokens


def test_the_environment_beats_the_file_and_the_command_line_beats_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = toml(tmp_path, "port = 1\nworkers = 3\nqueue_reports = 7")
    monkeypatch.setenv("LLMTOKEN_PORT", "2")
    monkeypatch.setenv("LLMTOKEN_WORKERS", "4")
    settings = load(file, port=5, workers=None)
    assert (settings.port, settings.workers, settings.queue_reports) == (5, 4, 7)


def test_every_value_says_where_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = toml(tmp_path, "workers = 3\nport = 1")
    monkeypatch.setenv("LLMTOKEN_PORT", "2")
    origins = config.origins(file, host="::1")
    assert origins == dict.fromkeys(Settings.model_fields, "default") | {
        "host": "command line",
        "port": "environment",
        "workers": str(file),
    }


def test_settings_cannot_be_changed_after_the_start() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().port = 1  # type: ignore[misc]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_an_open_address_without_tokens_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="without tokens") as refusal:
        load(host=host)
    assert "LLMTOKEN_READ_TOKEN" in refusal.value.hint


@pytest.mark.parametrize("missing", ["token", "read_token"])
def test_an_open_address_needs_both_tokens(missing: str) -> None:
    tokens = {"token": "a", "read_token": "b", missing: ""}
    with pytest.raises(ConfigError, match="without tokens"):
        load(host="0.0.0.0", **tokens)


def test_an_open_address_is_fine_with_both_tokens_or_when_told_so() -> None:
    assert load(host="0.0.0.0", token="a", read_token="b").tokens == {"a"}
    assert load(host="0.0.0.0", insecure=True).insecure


def test_all_tokens_of_a_file_are_valid_beside_the_inline_one(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("old\n\n  new  \n")
    assert load(token="inline", token_file=file).tokens == {"old", "new", "inline"}


def test_a_missing_token_file_stops_the_start_on_loopback_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Can't read the tokens in"):
        load(read_token_file=tmp_path / "absent")


def test_a_token_never_shows_in_an_error_or_in_print() -> None:
    assert "hush" not in repr(load(token="hush", redact_key="hush" * 4))
    with pytest.raises(ConfigError) as refusal:
        load(token="hush", redact_key="hush" * 4, port="x")
    assert "hush" not in str(refusal.value)


@pytest.mark.parametrize("written", ["secrets,email", "secrets, email", '["secrets", "email"]'])
def test_a_list_in_the_environment_has_commas_or_is_json(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMTOKEN_REDACT", written)
    assert load().redact == ("secrets", "email")


def test_nothing_is_redacted_when_the_list_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMTOKEN_REDACT", "")
    assert load().redact == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("port = 99999", "port: Input should be less than or equal to 65535"),
        ('workers = "many"', "workers: Input should be a valid integer"),
        ("prot = 1", "there is no setting prot, do you mean port?"),
        ("zzz = 1", "there is no setting zzz"),
        ("port = ", "isn't TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_the_name_of_what_is_wrong(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load(toml(tmp_path, text))
    assert told in refusal.value.message


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "llmtoken.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="isn't TOML"):
        load(file)


def test_the_port_that_kubernetes_sets_for_a_service_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMTOKEN_PORT", "tcp://10.0.0.1:8000")
    with pytest.raises(ConfigError, match="enableServiceLinks: false"):
        load()


@pytest.mark.parametrize(
    ("text", "means"),
    [("30d", timedelta(days=30)), ("12h", timedelta(hours=12)), ("90m", timedelta(minutes=90)), ("2w", timedelta(14))],
)
def test_an_age_is_written_as_people_write_it(text: str, means: timedelta, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMTOKEN_RETAIN_BODIES", text)
    settings = load()
    assert settings.retain_bodies == means
    assert config.age(config.shown_age(means)) == means
    assert settings.model_dump(mode="json")["retain_bodies"] == config.shown_age(means)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("retain_bodies", "a month", "write it like 30d"),
        ("retain_bodies", "30s", "greater than or equal to"),
        ("retain_calls", "23h", "greater than or equal to"),
        ("retain_bytes", 1000, "greater than or equal to"),
    ],
)
def test_what_would_delete_too_much_is_refused(name: str, value: object, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as error:
        load(**{name: value})
    assert name in error.value.message


def test_a_size_is_refused_where_nobody_knows_it() -> None:
    with pytest.raises(ConfigError, match="retain_bytes is for SQLite"):
        load(database="postgresql+psycopg://host/name", retain_bytes=10**9)


@pytest.mark.parametrize("url", ["javascript:alert(1)", "grafana.example", ""])
def test_a_link_that_leads_nowhere_is_refused_by_name(url: str) -> None:
    with pytest.raises(ConfigError, match="links: Grafana leads to"):
        config.load(None, links={"Grafana": url})


def test_misspelt_variables_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMTOKEN_DATABSE", "x.db")
    monkeypatch.setenv("LLMTOKEN_CONFIG", "x.toml")
    assert "LLMTOKEN_DATABSE" in config.unknown_variables()
    assert "LLMTOKEN_CONFIG" not in config.unknown_variables()


@pytest.mark.parametrize(
    ("database", "shown"),
    [
        ("data/llmtoken.db", "data/llmtoken.db"),
        ("postgresql+psycopg://db/llmtoken", "postgresql+psycopg://db/llmtoken"),
        ("postgresql+psycopg://me:s3:c@r/et@db:5432/x", "postgresql+psycopg://me:********@db:5432/x"),
        ("postgresql+psycopg://db/x?user=me&password=secret", "postgresql+psycopg://db/x?user=me&password=********"),
    ],
)
def test_a_database_is_shown_without_its_password(database: str, shown: str) -> None:
    assert config.without_password(database) == shown


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_says_what_it_is(name: str) -> None:
    description = Settings.model_fields[name].description
    assert description
    assert description.endswith(".")


def test_the_page_of_settings_is_up_to_date() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    assert page == settings_page.page(), "run make docs"


@pytest.fixture
def tokenizer_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(checks, "find_spec", lambda name: name == "tokenizers")
    file = tmp_path / "tokenizer.json"
    file.write_text('{"version": "1.0", "model": {"type": "BPE"}}')
    return file


def test_tokenizers_are_a_table_in_the_file(tmp_path: Path, tokenizer_file: Path) -> None:
    settings = load(toml(tmp_path, f'[tokenizers]\n"qwen*" = "{tokenizer_file}"'))
    assert settings.tokenizers == {"qwen*": tokenizer_file}


def test_tokenizers_are_an_object_in_the_environment(tokenizer_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMTOKEN_TOKENIZERS", json.dumps({"qwen*": str(tokenizer_file)}))
    assert load().tokenizers == {"qwen*": tokenizer_file}


def test_a_broken_object_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMTOKEN_TOKENIZERS", "qwen=tokenizer.json")
    with pytest.raises(ConfigError, match="tokenizers") as refusal:
        load()
    assert "JSON object" in refusal.value.hint


@pytest.mark.parametrize("pattern", ["", " ", "qwen[3"])
def test_a_pattern_that_is_none_is_refused(tokenizer_file: Path, pattern: str) -> None:
    with pytest.raises(ConfigError, match="isn't a pattern") as refusal:
        load(tokenizers={pattern: tokenizer_file})
    assert "qwen*" in refusal.value.hint


def test_a_missing_tokenizer_is_named(tokenizer_file: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.json: No such file") as refusal:
        load(tokenizers={"qwen*": tokenizer_file.with_name("missing.json")})
    assert refusal.value.hint == "check the path"


@pytest.mark.parametrize("content", ["", "[]", "{}", "not JSON", "\x00\xff"])
def test_a_file_that_is_no_tokenizer_is_refused(tokenizer_file: Path, content: str) -> None:
    tokenizer_file.write_text(content, "latin-1")
    with pytest.raises(ConfigError, match="isn't a tokenizer"):
        load(tokenizers={"qwen*": tokenizer_file})


def test_tokenizers_without_the_library_say_how_to_get_it(
    tokenizer_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="package isn't there") as refusal:
        load(tokenizers={"qwen*": tokenizer_file})
    assert "llmtoken[tokenizers]" in refusal.value.hint
    assert load().tokenizers == {}


def test_the_effective_tokenizers_are_shown(
    tmp_path: Path, tokenizer_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings_page.show(toml(tmp_path, f'[tokenizers]\n"qwen*" = "{tokenizer_file}"'), as_json=True)
    shown = json.loads(capsys.readouterr().out)["settings"]["tokenizers"]
    assert shown["value"] == {"qwen*": str(tokenizer_file)}


def test_search_is_refused_where_there_is_no_index() -> None:
    with pytest.raises(ConfigError, match="search is for SQLite"):
        load(database="postgresql+psycopg://host/name", search=True)
