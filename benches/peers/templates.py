"""Configuration templates: `@NAME@` stands for a value, as `$` and `{}` mean something there."""

import re
from pathlib import Path

DIRECTORY = Path(__file__).parent / "templates"
PLACEHOLDER = re.compile(r"@([A-Z_]+)@")


def filled(template, **values):
    """The text of `template` with every placeholder replaced; a missing value is a KeyError."""
    return PLACEHOLDER.sub(lambda found: str(values[found[1]]), _text(template))


def _text(template):
    text = (DIRECTORY / template).read_text()
    # The comment on top explains the template to readers and may name placeholders.
    lines = text.splitlines(keepends=True)
    while lines and lines[0].startswith("#"):
        lines.pop(0)
    return "".join(lines)
