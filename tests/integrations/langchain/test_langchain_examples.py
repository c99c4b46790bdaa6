"""The examples print what the comment at their end says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("langchain_*.py"))
_NUMBER = re.compile(r"\d[\d.]*(e-\d+)?")


def _told(text: str) -> list[str]:
    """Return the lines without their numbers, which move with the catalogue's prices."""
    return [_NUMBER.sub("#", line.rstrip()) for line in text.strip().splitlines()]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_prints_what_its_comment_says(example: Path):
    promised = example.read_text("utf-8").partition("# Prints, in the sandbox:\n")[2]
    assert len(example.read_text("utf-8").splitlines()) <= 40
    env = {"PATH": os.environ["PATH"], "OMNI_MODE": "sandbox"}
    done = subprocess.run([sys.executable, str(example)], capture_output=True, text=True, env=env, check=True)
    said = "\n".join(line.removeprefix("#").removeprefix(" ") for line in promised.splitlines())
    assert _told(done.stdout) == _told(said)
