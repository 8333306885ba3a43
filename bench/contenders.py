"""What takes part in a comparison: qconv, and programs that answer a line about a layer with a line about its time."""

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from layers import Layer

TIMEOUT_SECONDS = 30


class Unavailable(Exception):
    """A contender that is not installed, or does not start."""


@dataclass(frozen=True)
class Answer:
    """Of one layer: a time, or why there is none."""

    kernel: str = "-"
    median_us: float = 0.0
    min_us: float = 0.0
    reason: str = ""

    @property
    def is_time(self) -> bool:
        return not self.reason

    def or_faster(self, other: "Answer | None") -> "Answer":
        if other is None or not other.is_time:
            return self
        return other if not self.is_time or other.min_us < self.min_us else self


class Qconv:
    """qconv's own program, started anew for each layer."""

    def __init__(self, program: Path, threads: int, isa: str):
        self.name = "qconv"
        self.command = [str(program), "bench", "--json", "--threads", str(threads)]
        if isa:
            self.command += ["--isa", isa]
        if not program.exists():
            raise Unavailable(f"{program} is not built")
        output = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        self.version = output.split()[-1]

    def measure(self, layer: Layer) -> Answer:
        command = [*self.command, "--problem", layer.problem()]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            return Answer(reason=f"took longer than {TIMEOUT_SECONDS} s")
        if done.returncode != 0:
            return Answer(reason=done.stderr.strip())
        row = json.loads(done.stdout)[0]
        return Answer(row["kernel"], row["median_us"], row["min_us"])

    def close(self) -> None:
        pass


class Worker:
    """A peer: a program that stays, because starting it takes long. Its first line is its version.

    While others are measured it is stopped, so that its waiting threads cannot take processor time from them.
    """

    def __init__(self, name: str, command: list[str], environment: dict[str, str]):
        self.name = name
        self.command = command
        self.environment = {**os.environ, **environment}
        self._start()

    def _start(self) -> None:
        self.errors = tempfile.TemporaryFile()
        try:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors,
                env=self.environment,
                preexec_fn=_die_with_parent,
            )
        except OSError as error:
            raise Unavailable(str(error)) from error
        self.pending = b""
        version = self._read_line(4 * TIMEOUT_SECONDS)
        if not version:
            self.close()
            raise Unavailable(self._last_error())
        self.version = version
        self.process.send_signal(signal.SIGSTOP)

    def measure(self, layer: Layer) -> Answer:
        if self.process.poll() is not None:
            self._start()
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(layer.line.encode() + b"\n")
        self.process.stdin.flush()
        line = self._read_line(TIMEOUT_SECONDS)
        if line is None:
            self.close()
            return Answer(reason=f"took longer than {TIMEOUT_SECONDS} s")
        if not line:
            self.close()
            return Answer(reason=f"ended: {self._last_error()}")
        self.process.send_signal(signal.SIGSTOP)
        return parse_answer(line)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()

    def _read_line(self, seconds: float) -> str | None:
        """None when it takes too long, empty when the program has ended."""
        end = time.monotonic() + seconds
        descriptor = self.process.stdout.fileno()
        while b"\n" not in self.pending:
            if not select.select([descriptor], [], [], max(0, end - time.monotonic()))[0]:
                return None
            read = os.read(descriptor, 65536)
            if not read:
                return ""
            self.pending += read
        line, _, self.pending = self.pending.partition(b"\n")
        return line.decode(errors="replace").strip()

    def _last_error(self) -> str:
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "no reason given"


def parse_answer(line: str) -> Answer:
    verdict, _, rest = line.partition(" ")
    cells = rest.split()
    if verdict == "ok" and len(cells) == 3:
        return Answer(cells[0], float(cells[1]), float(cells[2]))
    return Answer(reason=rest if verdict == "no" and rest else f"unexpected answer: {line}")


def _die_with_parent() -> None:
    """Linux: a stopped program must not outlive the comparison, however that ends."""
    set_death_signal = 1
    ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)
