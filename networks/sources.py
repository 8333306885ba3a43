"""Whether files are newer than the sources that make them. Standard library alone: who measures memory must be small."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXPORT = [HERE / f"{name}.py" for name in ("catalogue", "models", "samples", "weights", "export")]


def fresh(made: Iterable[Path], sources: Iterable[Path]) -> bool:
    newest = max(source.stat().st_mtime for source in sources)
    return all(file.exists() and file.stat().st_mtime >= newest for file in made)
