"""What the plugin costs Traefik's traffic: `.venv/bin/python bench/overhead.py [--quick] [--only json,stream]`.

Runs the same calls directly, through plain Traefik, through a no-op plugin and through ours (and
the seed's plugin and the prototype, where their sources are at hand), all entry points of one
Traefik process, interleaved and in a new order each round. Prints medians, and ratios to plain
Traefik of the same round. CPU is Traefik's alone, exact to the nanosecond, and includes the
sending of reports: a measurement ends when the last has arrived. Every byte of every reply is
compared with what the upstream sends, and every report is counted by the collector.

Then, each in a process of its own: memory, a dead collector under load, SIGTERM and kill -9.

The upstream, the collector and the load client are small Go programs in `bench/load/`, built at
run time. Otherwise Go lives only in `plugin/`; this is a measuring tool, which must cost less
than what it measures. They serve and accept 127.0.0.1 only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from measure import programs, table, variants
from measure.gateway import Gateway
from measure.lives import Lives
from measure.programs import Collector, Upstream
from measure.traffic import TRAFFIC, Bench
from measure.variants import Variant
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from support.needs import ROOT

LIVES = {
    "memory": "Memory of a process of its own, under 2 KB JSON calls on 32 connections",
    "dead": "A dead collector under the same load",
    "sigterm": "SIGTERM: are finished calls reported?",
    "kill": "kill -9: are finished calls reported?",
}
SCENARIOS = (*TRAFFIC, "sender", *LIVES)
WARM_UP = 0.5
QUICK = {"rounds": 1, "seconds": 0.4, "minutes": 0.1}
USUAL = {"rounds": 4, "seconds": 1.2, "minutes": 0.5}


def senders(plugin: Path) -> list[Variant]:
    """Ways to send, as far as the plugin has them."""
    known = variants.keys(plugin)
    found = [variants.ours("NDJSON", plugin)]
    if "gzip" in known:
        found.append(variants.ours("NDJSON, gzip", plugin, gzip=True))
    if "capturebodies" in known:
        found.append(variants.ours("captureBodies: never", plugin, captureBodies="never"))
    return found


def named(text: str) -> Variant:
    """NAME=FOLDER, another plugin that takes our configuration."""
    name, _, folder = text.partition("=")
    if not name or not (Path(folder) / "go.mod").exists():
        raise argparse.ArgumentTypeError(f"{text!r}: must be NAME=FOLDER, and the folder hold a plugin's go.mod")
    return variants.ours(name, Path(folder))


def chosen(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if unknown := set(names) - set(SCENARIOS):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: known are {', '.join(SCENARIOS)}")
    return names


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=chosen, default=list(SCENARIOS), help=f"some of {','.join(SCENARIOS)}")
    parser.add_argument("--quick", action="store_true", help="about a minute; rough")
    parser.add_argument("--rounds", type=int, help=f"of each scenario (default: {USUAL['rounds']})")
    parser.add_argument("--seconds", type=float, help=f"of load in a measurement (default: {USUAL['seconds']})")
    parser.add_argument("--minutes", type=float, help=f"of a dead collector (default: {USUAL['minutes']})")
    parser.add_argument("--plugin", type=Path, default=ROOT / "plugin", help="ours (default: plugin/)")
    parser.add_argument(
        "--also", type=named, action="append", default=[], metavar="NAME=FOLDER", help="another plugin to compare with"
    )
    parser.add_argument("--without-others", action="store_true", help="leave out the seed's plugin and the prototype")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there too, each round with it")
    given = parser.parse_args()
    for name, value in (QUICK if given.quick else USUAL).items():
        if getattr(given, name) is None:
            setattr(given, name, value)
    return given


@contextmanager
def progress(total: int) -> Iterator[Progress]:
    """On a terminal; on a pipe there is nothing to see."""
    shown = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=shown, disable=not shown.is_terminal, transient=True) as bar:
        bar.add_task("starting", total=total)
        yield bar


Measured = tuple[str, str, list[table.Column], dict[str, Any]]
"""A scenario's name, title and columns, and its row for each variant."""


@dataclass(frozen=True)
class Session:
    """What both kinds of scenario need."""

    given: argparse.Namespace
    workshop: Path
    upstream: Upstream
    collector: Collector
    compared: list[Variant]
    bar: Progress

    def tick(self) -> None:
        self.bar.advance(self.bar.task_ids[0])

    def say(self, doing: str) -> None:
        self.bar.update(self.bar.task_ids[0], description=doing)

    def together(self) -> Iterator[Measured]:
        """The scenarios of traffic, all in one Traefik."""
        given, names = self.given, [name for name in (*TRAFFIC, "sender") if name in self.given.only]
        if not names:
            return
        sending = senders(given.plugin) if "sender" in names else []
        everyone = [*self.compared, *sending]
        addresses = {variant.key: self.collector.url_for(variant.key) for variant in everyone}
        with Gateway(self.workshop / "traefik", everyone, upstream=self.upstream.url, addresses=addresses) as gateway:
            bench = Bench(gateway, self.upstream, self.collector, self.workshop / "client", given.seconds)
            self.say("warming up")
            bench.warm(TRAFFIC["json"], everyone, min(WARM_UP, given.seconds))
            bench.warm(TRAFFIC["stream"], self.compared, min(WARM_UP, given.seconds))
            for name in names:
                self.say(name)
                if name == "sender":
                    rows = bench.rounds(TRAFFIC["json"], [variants.plain(), *sending], given.rounds, self.tick)
                    yield name, "What sending costs, with the calls of json", table.SENDER, rows
                else:
                    traffic = TRAFFIC[name]
                    rows = bench.rounds(traffic, self.compared, given.rounds, self.tick)
                    yield name, traffic.title, table.STREAMS if traffic.events else table.CALLS, rows

    def apart(self) -> Iterator[Measured]:
        """Those that want a process of their own."""
        given = self.given
        lives = Lives(self.upstream, self.collector, self.workshop / "client", given.seconds, given.minutes)
        proxied = [variant for variant in self.compared if variant.proxied]
        scenarios = {
            "memory": (table.MEMORY, lambda: lives.memory(proxied, self.tick)),
            "dead": (table.DEAD, lambda: lives.dead([variants.plain(), variants.ours(folder=given.plugin)], self.tick)),
            "sigterm": (table.ENDS, lambda: lives.terminated(given.plugin, self.tick)),
            "kill": (table.ENDS, lambda: lives.killed(given.plugin, self.tick)),
        }
        for name, (columns, measure) in scenarios.items():
            if name in given.only:
                self.say(name)
                yield name, LIVES[name], columns, measure()


def main() -> None:
    given = options()
    out = table.console()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        workshop = Path(folder)
        programs.build(workshop)
        ours = variants.ours(folder=given.plugin)
        compared = [variants.direct(), variants.plain(), variants.noop(), ours, *given.also]
        if not given.without_others:
            compared.extend(variants.others(workshop))
        with (
            Upstream(workshop / "upstream") as upstream,
            Collector(workshop / "collector") as collector,
            progress(steps(given, compared)) as bar,
        ):
            session = Session(given, workshop, upstream, collector, compared, bar)
            for name, title, columns, rows in chain(session.together(), session.apart()):
                results[name] = rows
                table.show(out, f"{name}: {title}", columns, rows)
    if given.json:
        machine = {"system": platform.platform(), "cores": os.cpu_count(), "load": os.getloadavg()}
        chose = {name: getattr(given, name) for name in ("rounds", "seconds", "minutes")}
        text = json.dumps({"machine": machine, "options": chose, "scenarios": results}, indent=1)
        given.json.write_text(text + "\n", "utf-8")


def steps(given: argparse.Namespace, compared: list[Variant]) -> int:
    """Measurements to come."""
    each = dict.fromkeys(TRAFFIC, given.rounds * len(compared))
    each |= {"sender": given.rounds * (len(senders(given.plugin)) + 1), "memory": len(compared) - 1}
    each |= {"dead": 2, "sigterm": 1, "kill": 1}
    return sum(each[name] for name in given.only)


if __name__ == "__main__":
    main()
