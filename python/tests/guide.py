"""The code of docs/migrating-from-pytorch.md, run in order as one program."""

import pathlib
import re

GUIDE = pathlib.Path(__file__).parents[2] / "docs" / "migrating-from-pytorch.md"


def blocks(language):
    """The code blocks of that language, each at its own line of the file, so that errors point there."""
    text = GUIDE.read_text()
    for found in re.finditer(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        yield "\n" * text.count("\n", 0, found.start(1)) + found.group(1)


def run(language):
    names = {}
    count = 0
    for code in blocks(language):
        exec(compile(code, str(GUIDE), "exec"), names)  # noqa: S102
        count += 1
    return count
