"""Every Python block of the documentation runs, unchanged and in order, in the sandbox and against a hosted server."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown import run_python_blocks
from omniserver import OmniServer

from omnilabs.testing import FAULTS

ROOT = Path(__file__).parent.parent
SEED = ROOT.parent / "shared" / "seeds" / "chat-completions.md"
OWN_PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# The service's own page lies beside a checkout of the project's; somebody else's clone does without it.
PAGES = [*OWN_PAGES, *([SEED] if SEED.exists() else [])]


@pytest.fixture(params=["sandbox", "hosted"])
def surroundings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An environment in which `OmniClient()` works: the sandbox, or the key of a loopback server."""
    if request.param == "sandbox":
        monkeypatch.setenv("OMNI_MODE", "sandbox")
        yield "sandbox"
        return
    with OmniServer(api_key="omni-test-key") as server:
        monkeypatch.setenv("OMNI_API_KEY", "omni-test-key")
        monkeypatch.setenv("OMNI_BASE_URL", server.url)
        yield "hosted"


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # the pages' clients live as long as their page
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_of_a_page_runs(page: Path, surroundings: str, capsys: pytest.CaptureFixture[str]):
    count = run_python_blocks(page)
    gc.collect()
    if page in (ROOT / "README.md", SEED):
        assert count >= 2
        assert capsys.readouterr().out.strip(), surroundings


def test_the_sandbox_page_names_every_fault_as_it_is():
    page = (ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8")
    for name, what in FAULTS.items():
        assert f"| `sandbox/{name}` | {what} |" in page


def test_every_relative_link_leads_somewhere():
    for page in OWN_PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
