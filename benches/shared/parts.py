"""A benchmark of several parts, each a module with `run`, `targets`, `table` and a `NOTE` on its method;
one that fails does not end the others."""

import argparse
import os
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import gateways
import machine
import summary
from bench import NEEDED, ROOT, Bench, TimeUp, end_in_time, find_tools
from children import Children


@dataclass(frozen=True)
class Benchmark:
    """What is measured, by the names of its parts, and how much of it."""

    name: str  # of the result's file
    title: str
    command: str  # of `make`
    about: str
    parts: dict
    full: dict  # option -> its value; `limit` is the seconds after which the run ends in any case
    quick: dict  # the same for a trial
    help: dict  # option -> what it is

    def main(self):
        """Measures as the command line says; the program's exit status."""
        options = self._options()
        tools = find_tools(needed={**NEEDED, "redis-server": "redis-server"})
        end_in_time(options.limit)
        run = {
            "title": self.title,
            "command": self.command,
            "machine": machine.describe(),
            "load_average": os.getloadavg()[0],
            "options": {name: getattr(options, name) for name in self.full},
            "versions": {},
            "parts": {},  # part -> what it measured
            "trouble": {},  # part -> why it has no result
            "notes": [],
        }
        with tempfile.TemporaryDirectory(prefix="bench-") as directory, Children(directory) as children:
            try:
                bench = Bench(options, tools, directory, children)
                run["versions"] = {
                    "portcullis": machine.first_line([bench.portcullis(), "--version"]),
                    "redis": machine.first_line([tools["redis-server"], "--version"]).split(" sha=")[0],
                }
                for name in options.only or self.parts:
                    self._measure(bench, options, run, name)
            except TimeUp:
                run["notes"].append(f"stopped at the time limit of {options.limit} s")
            signal.alarm(0)
        return self._finish(options, run)

    def _measure(self, bench, options, run, name):
        """What goes wrong becomes the part's result instead of ending the run."""
        print(f"bench: {name}", file=sys.stderr)
        try:
            result = run["parts"][name] = self.parts[name].run(bench, options)
            run["trouble"].update({f"{name}, {key}": why for key, why in result.get("trouble", {}).items()})
        except gateways.FAULTS as reason:
            run["trouble"][name] = f"{type(reason).__name__}: {reason}"
            print(f"bench: !!! {name} is INVALID: {run['trouble'][name]}", file=sys.stderr)

    def _finish(self, options, run):
        sizes = [name for name in self.full if name not in ("limit", "rounds")]
        if any(getattr(options, name) < self.full[name] for name in sizes):
            run["notes"].append("smaller or shorter than it should be: a trial, nothing to quote")
        if options.rounds < 3:
            run["notes"].append("fewer than three rounds: a trial, nothing to quote")
        path = options.out
        if path is None:
            path = ROOT / "benches" / "results" / f"{machine.label(run['machine'])}-{self.name}.md"
        text = summary.write(run, self.parts, path)
        print(text)
        print(f"bench: written to {path} and {path.with_suffix('.json').name}", file=sys.stderr)
        return 1 if run["trouble"] else 0

    def _options(self):
        parser = argparse.ArgumentParser(description=self.about.splitlines()[0])
        only = f"one of: {', '.join(self.parts)}"
        parser.add_argument("--only", action="append", choices=self.parts, metavar="PART", help=only)
        parser.add_argument("--quick", action="store_true", help="a trial of a minute or two")
        for name, what in self.help.items():
            parser.add_argument(f"--{name}", type=int, help=what)
        parser.add_argument("--limit", type=int, help="seconds after which the run ends in any case")
        parser.add_argument("--out", type=Path, help="the Markdown file; the JSON goes beside it")
        parser.add_argument("--portcullis", type=lambda path: Path(path).resolve(), help="another gateway binary than the release build")
        options = parser.parse_args()
        for name, value in (self.quick if options.quick else self.full).items():
            if getattr(options, name) is None:
                setattr(options, name, value)
        return options
