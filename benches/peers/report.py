"""Measurements as Markdown (for people, and the terminal) and JSON (every number)."""

import json
from statistics import median

from rows import ELSEWHERE, MEMORY_TARGETS, ROWS, TARGETS

HEADER = """# Peer benchmark: {machine[cpu]}

{machine[cores]} cores, {machine[kernel]}, {machine[date]}. {rounds} rounds of {seconds} s, interleaved.

CPU time of the proxy process per answered request (all its threads, from the scheduler's
accounts), one worker, pinned to one core; wrk (one thread, 32 connections) and the upstream
(one nginx worker, 12 bytes) on another. Medians of the rounds. Repeat with `make bench`.
"""


def markdown(run):
    """The whole report."""
    parts = [
        HEADER.format(**run),
        "\n".join(f"- {name}: {version}" for name, version in run["versions"].items()),
        measurements(run),
        "*busy*: share of its core the proxy used; *others*: share anyone else used there, which "
        "disturbs the measurement.",
        "## Targets",
        targets(run),
        "A ratio is the median of the rounds' own ratios, which a slow change of the machine "
        "does not touch; its range is over rounds.",
        "Not measured here: " + "; ".join(ELSEWHERE) + ".",
    ]
    if run["notes"]:
        parts += ["## Notes", "\n".join(f"- {note}" for note in run["notes"])]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def write(run, path):
    """`path` gets the Markdown, its neighbour with the suffix .json the raw numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(markdown(run))
    path.with_suffix(".json").write_text(json.dumps(run, indent=1) + "\n")


def cost(result):
    """The number that rows are compared by."""
    return result["cpu_us_per_request"]


def measurements(run):
    """One line a row, proxies together, however they were interleaved."""
    lines = [
        "| proxy | work | CPU µs/request | rounds | × nginx | requests/s | busy | others |",
        "| --- | --- | --: | --- | --: | --: | --: | --: |",
    ]
    order = ["Portcullis", "Pingora, bare", "HAProxy", "Envoy", "nginx"]
    for row in sorted(ROWS, key=lambda row: order.index(row.proxy)):
        lines.append(_line(run, row))
    return "\n".join(lines)


def _line(run, row):
    trouble = run["trouble"].get(row.key)
    rounds = _rounds(run, row.key)
    if trouble is not None:
        why = "skipped" if trouble.startswith("Absent") else "**INVALID**"
        return f"| {row.proxy} | {row.work} | {why}: {trouble} | | | | | |"
    if not rounds:
        return f"| {row.proxy} | {row.work} | not measured | | | | | |"
    costs = [one["cpu_us_per_request"] for one in rounds.values()]
    found = ratio(run, row.key, "nginx")
    cells = [
        row.proxy,
        row.work,
        f"{median(costs):.1f}",
        " ".join(f"{cost:.1f}" for cost in costs),
        f"{found[0]:.2f}" if found else "",
        f"{median(one['requests_per_second'] for one in rounds.values()):,.0f}",
        f"{median(one['busy'] for one in rounds.values()):.0%}",
        f"{median(one['strangers'] for one in rounds.values()):.0%}",
    ]
    return "| " + " | ".join(cells) + " |"


def targets(run):
    """Each target this harness can measure, and whether it is met."""
    lines = ["| work | target | measured | range | |", "| --- | --: | --: | --- | --- |"]
    for target in TARGETS:
        found = ratio(run, target.measured, target.peer)
        limit = f"≤ {target.limit:.2f} ×"
        if found is None:
            lines.append(f"| {target.work} | {limit} | | | not measured |")
            continue
        middle, low, high = found
        word = verdict(middle <= target.limit)
        lines.append(f"| {target.work} | {limit} | {middle:.3f} × | {low:.3f}–{high:.3f} | {word} |")
    lines += [_memory(run, target) for target in MEMORY_TARGETS]
    return "\n".join(lines)


def _memory(run, target):
    limit = f"≤ {target.limit} {target.unit}"
    measured = run["memory"].get(target.key)
    if measured is None:
        return f"| {target.work} | {limit} | | | not measured |"
    return f"| {target.work} | {limit} | {measured:.1f} {target.unit} | | {verdict(measured <= target.limit)} |"


def verdict(met):
    """What stands in a table of targets."""
    return "met" if met else "**MISSED**"


def ratio(run, measured, peer, number=cost):
    """(median, lowest, highest) of the ratios of one round each; None without a common round."""
    if measured in run["trouble"] or peer in run["trouble"]:
        return None
    ours, theirs = _rounds(run, measured), _rounds(run, peer)
    ratios = [
        number(ours[round]) / number(theirs[round])
        for round in ours.keys() & theirs.keys()
    ]
    return (median(ratios), min(ratios), max(ratios)) if ratios else None


def _rounds(run, key):
    return run["measured"].get(key, {})
