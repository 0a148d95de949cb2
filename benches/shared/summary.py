"""Measurements as Markdown (for people, and the terminal) and JSON (every number)."""

import json

HEADER = """# {title}: {machine[cpu]}

{machine[cores]} cores, {machine[kernel]}, {machine[date]}; load average before the run {load_average:.2f}.
Repeat with `make {command}`.
"""


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
        note = parts[name].NOTE.format(**run["options"])
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
