"""The Python blocks of a documentation page."""

from __future__ import annotations

import re
from pathlib import Path

_BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def run_python_blocks(page: Path) -> int:
    """Run a page's Python blocks in its own order, in one namespace; return how many there were."""
    text = page.read_text(encoding="utf-8")
    blocks = list(_BLOCK.finditer(text))
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in blocks:
        line = text[: block.start()].count("\n") + 1
        code = compile("\n" * line + block[1], str(page), "exec")
        exec(code, namespace)
    return len(blocks)
