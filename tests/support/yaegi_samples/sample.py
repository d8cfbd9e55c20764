"""What a sample is, and how it becomes a plugin that real Traefik loads.

A sample has a function `probe` that answers "right" when Go compiles it. What Yaegi makes of `bad` is its `outcome`;
`good` answers "right" under Yaegi too. `// here` marks the line that the lint must find.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from textwrap import dedent

from support.traefik import MODULE


class Outcome(Enum):
    """What real Traefik does with a construct."""

    NO_START = "Traefik does not start"
    WRONG = "the plugin loads, and answers wrongly or panics"
    DEAD = "Traefik ends"
    SLOW = "it works, at a price"


@dataclass(frozen=True)
class Sample:
    rule: str
    construct: str
    outcome: Outcome
    bad: str
    good: str
    compiles: bool = True

    @property
    def name(self) -> str:
        """Fit for a folder and for a Go package."""
        return re.sub(r"[^a-z0-9]+", "_", f"{self.rule}_{self.construct}".lower())


OWN_TYPES = """

type thing struct{ n int }

func (t *thing) Close() error { t.n++; return nil }

func (t *thing) get() int { return t.n }

func tell(is bool) string {
	if is {
		return "right"
	}
	return "wrong"
}
"""


def sample(rule: str, construct: str, outcome: Outcome, bad: str, good: str, *, compiles: bool = True) -> Sample:
    """A sample whose two pieces have `thing` and `tell` beside their own."""
    # Behind, since imports come first in Go.
    return Sample(rule, construct, outcome, dedent(bad).strip() + OWN_TYPES, dedent(good).strip() + OWN_TYPES, compiles)


HANDLER = """\
package llmtoken

import (
	"context"
	"fmt"
	"net/http"
%(imports)s)

var probes = map[string]func() string{
%(probes)s}

type Config struct{ Key string }

func CreateConfig() *Config { return &Config{} }

type handler struct{}

func (h *handler) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	defer func() {
		if problem := recover(); problem != nil {
			fmt.Fprint(rw, "panic: ", problem)
		}
	}()
	fmt.Fprint(rw, probes[req.URL.Path]())
}

func New(ctx context.Context, next http.Handler, config *Config, name string) (http.Handler, error) {
	return &handler{}, nil
}
"""


def write_plugin(folder: Path, code: str, version: str = "1.21") -> Path:
    """A plugin of one piece, which answers on `/`."""
    _write(folder, version, probes={"/": "probe"})
    (folder / "probe.go").write_text(f"package llmtoken\n\n{code}", "utf-8")
    return folder


def write_plugin_of_many(folder: Path, codes: Mapping[str, str]) -> Path:
    """A plugin in which each piece is a package of its own, and answers on its name."""
    _write(folder, "1.21", [f"{MODULE}/{name}" for name in codes], {f"/{name}": f"{name}.Probe" for name in codes})
    write_packages(folder, codes)
    return folder


def write_packages(folder: Path, codes: Mapping[str, str]) -> None:
    for name, code in codes.items():
        (folder / name).mkdir()
        text = f"package {name}\n\n{code}\nfunc Probe() string {{ return probe() }}\n"
        (folder / name / "probe.go").write_text(text, "utf-8")


def _write(
    folder: Path, version: str, imports: list[str] | None = None, probes: Mapping[str, str] | None = None
) -> None:
    folder.mkdir(parents=True)
    lines = "".join(f'\t"{path}"\n' for path in imports or [])
    table = "".join(f'\t"{path}": {function},\n' for path, function in (probes or {}).items())
    (folder / "handler.go").write_text(HANDLER % {"imports": lines, "probes": table}, "utf-8")
    (folder / "go.mod").write_text(f"module {MODULE}\n\ngo {version}\n", "utf-8")
    (folder / ".traefik.yml").write_text(
        f"displayName: probe\ntype: middleware\nimport: {MODULE}\nsummary: Samples.\ntestData:\n  Key: value\n", "utf-8"
    )
