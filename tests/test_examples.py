"""Every example runs without a key, in the sandbox, and prints something."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs_in_the_sandbox(example: Path):
    env = {"PATH": os.environ["PATH"], "OMNI_MODE": "sandbox"}
    done = subprocess.run(
        [sys.executable, str(example)], capture_output=True, text=True, env=env, cwd=ROOT, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "Traceback" not in done.stderr


def test_an_example_is_one_idea():
    long = [e.name for e in EXAMPLES if e.name != "quickstart.py" and len(e.read_text("utf-8").splitlines()) > 60]
    assert not long


def test_the_quickstart_without_a_key_says_so_in_one_line_and_shows_which_model_answered():
    env = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "quickstart.py")],
        capture_output=True,
        text=True,
        env=env,
        cwd=ROOT,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("No key in the environment")
    for part in ("LangChain chain", "LangChain agent", "LlamaIndex query engine", "USD", "README.md has"):
        assert part in done.stdout
