"""Measurements as Markdown (for people, and the terminal) and JSON (every number)."""

import json

HEADER = """# Revocation benchmark: {machine[cpu]}

{machine[cores]} cores, {machine[kernel]}, {machine[date]}; load average before the run {load_average:.2f}.
Repeat with `make bench-revocation`.
"""

NOTES = {
    "serving": """CPU time of the gateway per answered request, {rounds} rounds of {seconds} s, interleaved, as
in the peer benchmark: one worker, pinned to one core; wrk, the upstream, Redis and whoever writes to
it on another. *edge* is the part of the threads that decide and forward, *control* of those that
follow the log. Where none arrive, as many are written to another log, so that all else is the same.
RS256 tokens, all seen before. *busy*: share of its core the gateway used; *others*: share anyone else
used there.""",
    "starting": """From the start of the process until `/readyz` answers 200, asked every 20 ms; memory one second
later. Nothing is pinned. Medians.""",
    "propagation": """Everything on whatever core is free. Revocations are taken by all gateways in turn and come
at their times whether or not earlier ones were answered. *Written → in force* is the gateways' own
histogram over all revocations, with bounds of buckets, worst gateway. *Seen by a client* is a sample
of tokens that were in use: from the acknowledgement to the answer with the first refusal on the last
gateway to refuse. All gateways are asked without a pause, so that it is exact to a poll's round trip,
which it contains: the truth lies between it and *last admitted*, when the last request that was still
admitted had been sent. Redis keeps nothing on disk here.""",
    "appending": "From the request to the admin listener until its answer.",
}


def write(run, parts, path):
    """`path` gets the Markdown, its neighbour with the suffix .json the raw numbers; the Markdown."""
    text = markdown(run, parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.with_suffix(".json").write_text(json.dumps(run, indent=1) + "\n")
    return text


def markdown(run, parts):
    """The whole report."""
    sections = [
        HEADER.format(**run),
        "\n".join(f"- {name}: {version}" for name, version in run["versions"].items()),
        "## Targets",
        _targets(run, parts),
        "A ratio is the median of the rounds' own ratios; its range is over rounds. Where no target stands, "
        "the number is for information.",
    ]
    for name, result in run["parts"].items():
        note = NOTES[name].format(**run["options"])
        sections += [f"## {name.capitalize()}", note, parts[name].table(result)]
    if run["notes"]:
        sections += ["## Notes", "\n".join(f"- {note}" for note in run["notes"])]
    return "\n\n".join(section.strip() for section in sections) + "\n"


def _targets(run, parts):
    lines = ["| work | target | measured | range | |", "| --- | --: | --: | --- | --- |"]
    for name, part in parts.items():
        if name in run["trouble"]:
            lines.append(f"| {name} | | **INVALID**: {run['trouble'][name]} | | |")
        elif name not in run["parts"]:
            lines.append(f"| {name} | | | | not measured |")
        else:
            lines += ["| " + " | ".join(row) + " |" for row in part.targets(run["parts"][name])]
    return "\n".join(lines)
