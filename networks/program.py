"""The program qconv, as this suite uses it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

LIMIT_SECONDS = 1800


class Failed(Exception):
    """What the program said, in one line."""


class Qconv:
    def __init__(self, program: Path) -> None:
        self.program = program

    def call(self, verb: str, *arguments: object, threads: int) -> dict:
        command = [str(self.program), verb, *map(str, arguments), "--threads", str(threads), "--json"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise Failed(f"{verb}: took more than {LIMIT_SECONDS} s") from None
        if done.returncode != 0:
            said = done.stderr.strip().splitlines() or [f"ended with {done.returncode} and said nothing"]
            # The program begins with its name, the verb and, mostly, the file: the row says those already.
            raise Failed(f"{verb}: {said[-1].removeprefix(f'qconv {verb}: ')}")
        return json.loads(done.stdout)

    def quantize(self, network: Path, data: Path, output: Path, threads: int) -> dict:
        return self.call("quantize", network, "--calibrate", data, "-o", output, threads=threads)

    def compare(self, network: Path, quantized: Path, data: Path, samples: int, threads: int) -> list[dict]:
        answer = self.call("compare", network, quantized, "--data", data, "--samples", samples, threads=threads)
        return answer["layers"]

    def run(self, network: Path, data: Path, output: Path, threads: int) -> None:
        self.call("run", network, data, "-o", output, threads=threads)

    def seconds(self, network: Path, data: Path, repeat: int, threads: int) -> float:
        return self.call("run", network, data, "--repeat", repeat, threads=threads)["seconds"]


def all_cores() -> int:
    return len(os.sched_getaffinity(0))
