"""Turns, rounds, and what is kept of them."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from cases import Contender, Files, Setting

LIMIT_SECONDS = 300
SCOUT_SECONDS = 0.3
WORSE_DB = 15  # than the best contender's noise: then it computes something else


class TurnFailed(Exception):
    """What a turn said before it ended."""


@dataclass
class Row:
    """One contender on one network, batch and number of threads. A `failure` says why there are no numbers."""

    network: str
    batch: int
    threads: int
    contender: str
    setting: str = ""
    failure: str = ""
    version: str = ""
    sqnr_db: float = 0.0
    top1_kept: float = 0.0
    median_ms: float = 0.0
    min_ms: float = 0.0
    load_ms: float = 0.0
    first_ms: float = 0.0
    import_ms: float = 0.0
    peak_kib: int = 0
    bare_kib: int = 0
    libraries: dict[str, int] = field(default_factory=dict)
    tried: dict[str, float] = field(default_factory=dict)  # milliseconds of each setting in its first turn

    @property
    def cell(self) -> tuple[str, int, int]:
        return self.network, self.batch, self.threads

    @property
    def start_ms(self) -> float:
        return self.load_ms + self.first_ms


def take_turn(contender: Contender, command: list[str], environment: dict[str, str]) -> dict:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=LIMIT_SECONDS, env=contender.environment() | environment
        )
    except subprocess.TimeoutExpired:
        raise TurnFailed(f"took more than {LIMIT_SECONDS} s") from None
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        said = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        raise TurnFailed(said[-1])
    return json.loads(lines[-1])


def agreement(expected: np.ndarray, got: np.ndarray) -> tuple[float, float]:
    """Signal over noise in dB, and the share of samples or places with the same largest output."""
    if got.shape != expected.shape or not np.isfinite(got).all():
        raise TurnFailed(f"gives {got.shape} with values that are not all finite, expected {expected.shape}")
    noise = float(np.square(got - expected, dtype=np.float64).sum())
    signal = float(np.square(expected, dtype=np.float64).sum())
    decibels = 10 * math.log10(signal / noise) if noise > 0 else math.inf
    return decibels, float(np.mean(got.argmax(1) == expected.argmax(1)))


def present(contenders: Iterable[Contender], say: Callable[[str], None]) -> Iterator[Contender]:
    """Those that are installed."""
    for contender in contenders:
        imports = "; ".join(f"import {module}" for module in contender.modules)
        command = contender.command(contender.settings[0], Files(Path(), ""), 1, 1, 0)
        done = subprocess.run([command[0], "-c", imports], capture_output=True, text=True, env=contender.environment())
        if done.returncode == 0:
            yield contender
        else:
            say(f"{contender.name} does not take part: {done.stderr.strip().splitlines()[-1]}")


class Cell:
    """A network with a batch and a number of threads: its contenders find their settings, then take turns."""

    def __init__(self, files: Files, batch: int, threads: int, environment: dict[str, str]) -> None:
        self.files, self.batch, self.threads, self.environment = files, batch, threads, environment
        self.expected = np.load(files.reference)[:batch]

    def turn(self, contender: Contender, setting: Setting, seconds: float, output: Path | None = None) -> dict:
        command = contender.command(setting, self.files, self.batch, self.threads, seconds)
        return take_turn(contender, command + ([f"--output={output}"] if output else []), self.environment)

    def scout(self, contender: Contender) -> tuple[Row, Setting | None]:
        """Runs every setting once, checks its output, and takes the fastest that computes the network."""
        best: tuple[float, Setting] | None = None
        row = Row(self.files.name, self.batch, self.threads, contender.name)
        for setting in contender.settings:
            try:
                with tempfile.TemporaryDirectory() as folder:
                    output = Path(folder) / "output.npy"
                    answer = self.turn(contender, setting, SCOUT_SECONDS, output)
                    decibels, kept = agreement(self.expected, np.load(output))
            except TurnFailed as failure:
                row.failure = str(failure)
                continue
            row.tried[setting.name] = answer["min_ms"]
            if best is None or answer["min_ms"] < best[0]:
                best = answer["min_ms"], setting
                row.setting, row.version, row.libraries = setting.name, answer["version"], answer["libraries"]
                row.sqnr_db, row.top1_kept = decibels, kept
        if best is not None:
            row.failure = ""
        return row, best[1] if best else None

    def measure(self, contenders: list[Contender], rounds: int, seconds: float, say: Callable[[str], None]) -> list[Row]:
        scouted = []
        for contender in contenders:
            say(f"{contender.name}, first turn")
            scouted.append((contender, *self.scout(contender)))
        floor = max(row.sqnr_db for _, row, _ in scouted) - WORSE_DB
        for _, row, _ in scouted:
            if not row.failure and row.sqnr_db < floor:
                row.failure = f"computes something else: {row.sqnr_db:.1f} dB"
        running = [(c, row, setting) for c, row, setting in scouted if not row.failure]
        answers: dict[str, list[dict]] = {contender.name: [] for contender, _, _ in running}
        for number in range(rounds):
            for contender, row, setting in running if number % 2 == 0 else reversed(running):
                say(f"{contender.name}, round {number + 1} of {rounds}")
                try:
                    answers[contender.name].append(self.turn(contender, setting, seconds))
                except TurnFailed as failure:
                    row.failure = str(failure)
        for contender, row, _ in running:
            fill_in(row, answers[contender.name])
        return [row for _, row, _ in scouted]


def fill_in(row: Row, answers: list[dict]) -> None:
    for name in ("median_ms", "load_ms", "first_ms", "import_ms", "peak_kib", "bare_kib"):
        if answers:
            setattr(row, name, statistics.median(answer[name] for answer in answers))
    row.min_ms = min((answer["min_ms"] for answer in answers), default=0.0)


def merged(old: list[Row], new: list[Row]) -> list[Row]:
    """A cell that was measured again replaces the old one as a whole: only its own turns were taken together."""
    cells = {row.cell for row in new}
    return [row for row in old if row.cell not in cells] + new


def read_rows(file: Path) -> list[Row]:
    return [Row(**row) for row in json.loads(file.read_text())["rows"]]


def write_rows(file: Path, machine: dict[str, str], rows: list[Row]) -> None:
    file.write_text(json.dumps({"machine": machine, "rows": [asdict(row) for row in rows]}, indent=2) + "\n")
