"""The examples print what their last comment says, and each is one idea."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples").glob("llamaindex_*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_prints_what_it_says(example: Path) -> None:
    source = example.read_text("utf-8")
    _, said = source.split("# Prints, in the sandbox:\n")
    done = subprocess.run(
        [sys.executable, str(example)],
        env={"PATH": os.environ["PATH"], "OMNI_MODE": "sandbox"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    printed = [line.rstrip() for line in done.stdout.splitlines()]
    assert printed == [line.removeprefix("#").strip(" ") if line == "#" else line[2:] for line in said.splitlines()]


def test_an_example_has_at_most_forty_lines() -> None:
    assert len(EXAMPLES) >= 5
    assert not [path.name for path in EXAMPLES if len(path.read_text("utf-8").splitlines()) > 40]
