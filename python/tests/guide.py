"""Runs the code of the documents."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "migrating-from-pytorch.md"


def blocks(language, path):
    """The code blocks of that language, each at its own line of the file, so that errors point there."""
    text = path.read_text()
    for found in re.finditer(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        yield "\n" * text.count("\n", 0, found.start(1)) + found.group(1)


def run(language, path=GUIDE):
    """Runs them in order as one program; how many there were."""
    names = {}
    count = 0
    for code in blocks(language, path):
        exec(compile(code, str(path), "exec"), names)  # noqa: S102
        count += 1
    return count
