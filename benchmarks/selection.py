"""Time a selection: CPU microseconds per prompt by length, 60 candidates; first use; size of what is shipped.

    python benchmarks/selection.py

Ends with status 1 when a target is missed: 350 us at 300 characters, 1,000 us at any length, 300 KiB of artefacts.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from omnilabs.router import ModelInfo, Router
from omnilabs.router._catalog import Catalog, _load

CANDIDATES = 60
ROUNDS = 15
CALLS = 40
SHIPPED = ("task_types.json", "prior.json", "catalog.json")

ENGLISH = (
    "A farmer has 17 sheep and buys 5 more each week, but every third week two of them are sold at the market for "
    "40 dollars each. Write a Python function that returns how many sheep he has and how much he has earned after n "
    "weeks, then explain in two sentences why the result grows the way it does for large n. "
)
GERMAN = "Bitte übersetzen Sie den folgenden Brief an das Finanzamt höflich und ohne die Zahlen zu verändern. "
CHINESE = "请写一首关于秋天的诗，并解释每一句的意思。"


def filled(piece: str, chars: int) -> str:
    """Return `piece` repeated to a length in characters."""
    return (piece * (chars // len(piece) + 1))[:chars]


PROMPTS = {
    "empty": "",
    "300 characters": filled(ENGLISH, 300),
    "300, German": filled(GERMAN, 300),
    "300, Chinese": filled(CHINESE, 300),
    "1,000 characters": filled(ENGLISH, 1000),
    "10,000 characters": filled(ENGLISH, 10_000),
    "1,000,000 characters": filled(ENGLISH, 1_000_000),
    "1,000,000, German": filled(GERMAN, 1_000_000),
    "1,000,000, emoji": filled("😀 ", 1_000_000),
}


def candidates() -> list[ModelInfo]:
    """Return 60 current models of the catalogue; each with room for a megabyte, so that none is ruled out early."""
    models = [m for m in Router().catalog.models if m.kind == "chat" and not m.retired and m.price is not None]
    return [replace(model, context_tokens=None) for model in models[:CANDIDATES]]


def cpu_us(call: Callable[[], object]) -> float:
    """Return CPU microseconds per call: the best round, each the mean of its calls; other work only adds to a round."""
    for _ in range(CALLS):
        call()
    rounds: list[float] = []
    gc.collect()
    for _ in range(ROUNDS):
        started = time.process_time_ns()
        for _ in range(CALLS):
            call()
        rounds.append((time.process_time_ns() - started) / CALLS / 1e3)
    return min(rounds)


def _loading_ms() -> float:
    _load.cache_clear()
    started = time.process_time()
    Catalog.load()
    return (time.process_time() - started) * 1e3


def main() -> int:
    """Print the table; return 1 when a target is missed."""
    router = Router(candidates())
    missed: list[str] = []
    print(f"{'prompt':<24}{'CPU us':>10}{'verbose':>10}   {len(router.catalog.models)} candidates")
    for name, text in PROMPTS.items():
        messages = [{"role": "user", "content": text}]
        plain = cpu_us(lambda messages=messages: router.select(messages))
        verbose = cpu_us(lambda messages=messages: router.select(messages, verbose=True))
        print(f"{name:<24}{plain:>10.0f}{verbose:>10.0f}")
        if plain > (350 if name.startswith("300") else 1000):
            missed.append(name)
    started = time.perf_counter()
    Router().select([{"role": "user", "content": "Hello"}])
    took_ms = (time.perf_counter() - started) * 1e3
    print(f"\nfirst selection of a new router over the whole catalogue: {took_ms:.1f} ms")
    catalogue_ms = min(_loading_ms() for _ in range(5))
    print(f"reading the catalogue: {catalogue_ms:.1f} ms of CPU")
    if catalogue_ms > 15:
        missed.append("catalogue")
    folder = Path(__file__).resolve().parents[1] / "omnilabs/router"
    sizes = {name: (folder / name).stat().st_size / 1024 for name in SHIPPED}
    print("shipped: " + ", ".join(f"{name} {kib:.0f} KiB" for name, kib in sizes.items()))
    if sizes["task_types.json"] > 80 or sum(sizes.values()) > 300:
        missed.append("size")
    asked = "Router().select([{'role': 'user', 'content': 'x'}])"
    code = f"import sys; from omnilabs.router import Router; {asked}; print('numpy' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    print(f"numpy loaded by import and selection: {loaded}")
    print(f"missed: {', '.join(missed)}" if missed else "every target is met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
