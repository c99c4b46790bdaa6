"""What OmniRouter adds to the HTTP library under it: CPU of a call, of a stream, of 500 at once, and of the import.

    python benchmarks/overhead.py [--rounds N]

Each row is the client's own CPU time as a ratio to raw `httpx2` that posts the same JSON and parses the same answer, in
the same run: the server is another process, the rounds are interleaved, and the ratio is the median of the rounds'
ratios. The `openai` package stands beside it as the peer most people know.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import openai
from _server import CHUNKS, server

from omnilabs import AsyncOmniClient, OmniClient

MESSAGES: list[Any] = [{"role": "user", "content": "Tell me a joke about routers."}]
BODY = {"model": "gpt-4o", "messages": MESSAGES, "temperature": 0.7}
HEADERS = {"authorization": "Bearer sk-test"}
TARGETS = {"call": 1.5, "stream of 200 chunks": 1.6, "async call": 1.5, "async stream": 1.6, "500 at once": 1.4}


def cpu(work: Callable[[], object], times: int) -> float:
    """Return the CPU seconds of one `work()`."""
    begun = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - begun) / times


def compare(title: str, contestants: dict[str, Callable[[], object]], rounds: int, times: int) -> None:
    """Print each contestant's CPU as a ratio to the first, the raw one."""
    for work in contestants.values():
        work()
    figures: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, work in contestants.items():
            figures[name].append(cpu(work, times))
    raw = figures["httpx2"]
    print(f"\n{title}: httpx2 {statistics.median(raw) * 1e6:.0f} us of CPU")
    for name, own in list(figures.items())[1:]:
        ratios = sorted(mine / base for mine, base in zip(own, raw, strict=True))
        target = f"  (target {TARGETS[title]:.1f}x)" if name == "omnilabs" and title in TARGETS else ""
        print(f"  {name:<10} {statistics.median(ratios):5.2f}x  [{ratios[0]:.2f} .. {ratios[-1]:.2f}]{target}")


def raw_stream(client: httpx2.Client, url: str) -> int:
    """Read a stream as the smallest honest program does: line by line, each event parsed."""
    count = 0
    with client.stream("POST", url, json=BODY | {"stream": True}, headers=HEADERS) as response:
        for line in response.iter_lines():
            if line.startswith("data: ") and line != "data: [DONE]":
                json.loads(line[6:])
                count += 1
    return count


async def raw_astream(client: httpx2.AsyncClient, url: str) -> int:
    """`raw_stream` for asyncio."""
    count = 0
    async with client.stream("POST", url, json=BODY | {"stream": True}, headers=HEADERS) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: ") and line != "data: [DONE]":
                json.loads(line[6:])
                count += 1
    return count


def blocking(base: str, rounds: int) -> None:
    url = f"{base}/v1/chat/completions"
    with (
        httpx2.Client() as raw,
        OmniClient(providers={"openai": {"api_key": "sk-test", "base_url": f"{base}/v1"}}) as omni,
        openai.OpenAI(api_key="sk-test", base_url=f"{base}/v1") as sdk,
    ):
        compare(
            "call",
            {
                "httpx2": lambda: raw.post(url, json=BODY, headers=HEADERS).json(),
                "omnilabs": lambda: omni.chat(MESSAGES, "gpt-4o"),
                "openai": lambda: sdk.chat.completions.create(model="gpt-4o", messages=MESSAGES, temperature=0.7),
            },
            rounds,
            50,
        )
        compare(
            f"stream of {CHUNKS} chunks",
            {
                "httpx2": lambda: raw_stream(raw, url),
                "omnilabs": lambda: sum(1 for _ in omni.chat(MESSAGES, "gpt-4o", stream=True)),
                "openai": lambda: sum(
                    1 for _ in sdk.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)
                ),
            },
            rounds,
            5,
        )


def asynchronous(base: str, rounds: int) -> None:
    url = f"{base}/v1/chat/completions"
    limits = httpx2.Limits(max_connections=100, max_keepalive_connections=100)
    with asyncio.Runner() as runner:
        raw = httpx2.AsyncClient(limits=limits, timeout=60)
        omni = AsyncOmniClient(providers={"openai": {"api_key": "sk-test", "base_url": f"{base}/v1"}})
        sdk = openai.AsyncOpenAI(api_key="sk-test", base_url=f"{base}/v1")

        async def raw_call() -> object:
            return (await raw.post(url, json=BODY, headers=HEADERS)).json()

        async def omni_stream() -> int:
            return sum([1 async for _ in await omni.chat(MESSAGES, "gpt-4o", stream=True)])

        async def once(one: Callable[[], Awaitable[object]]) -> None:
            await one()

        async def many(one: Callable[[], Awaitable[object]]) -> None:
            await asyncio.gather(*(one() for _ in range(500)))

        def sdk_call() -> Awaitable[object]:
            return sdk.chat.completions.create(model="gpt-4o", messages=MESSAGES)

        def ask() -> Awaitable[object]:
            return omni.chat(MESSAGES, "gpt-4o")

        run = runner.run
        compare(
            "async call",
            {
                "httpx2": lambda: run(raw_call()),
                "omnilabs": lambda: run(once(ask)),
                "openai": lambda: run(once(sdk_call)),
            },
            rounds,
            50,
        )
        compare(
            "async stream",
            {"httpx2": lambda: run(raw_astream(raw, url)), "omnilabs": lambda: run(omni_stream())},
            rounds,
            5,
        )
        compare(
            "500 at once",
            {
                "httpx2": lambda: run(many(raw_call)),
                "omnilabs": lambda: run(many(ask)),
                "openai": lambda: run(many(sdk_call)),
            },
            max(3, rounds // 3),
            1,
        )
        run(raw.aclose())
        run(omni.aclose())
        run(sdk.close())


def imports(rounds: int) -> None:
    """Print the CPU of importing, each in a new process, both from compiled files as an installed package has them."""
    code = "import time; a = time.process_time(); import {0}; print(time.process_time() - a)"
    with tempfile.TemporaryDirectory() as cache:
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env["PYTHONPYCACHEPREFIX"] = cache

        def once(module: str) -> float:
            return float(subprocess.check_output([sys.executable, "-c", code.format(module)], env=env))

        modules = ("httpx2", "omnilabs", "openai")
        for module in modules:
            once(module)
        seconds = [[once(module) for module in modules] for _ in range(2 * rounds)]
    print(f"\nimport: httpx2 {statistics.median(row[0] for row in seconds) * 1e3:.0f} ms of CPU")
    for place, module in enumerate(modules[1:], 1):
        ratios = sorted(row[place] / row[0] for row in seconds)
        target = "  (target 1.5x; httpx2 itself is loaded by the first call)" if module == "omnilabs" else ""
        print(f"  {module:<10} {statistics.median(ratios):5.2f}x  [{ratios[0]:.2f} .. {ratios[-1]:.2f}]{target}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--only", choices=["blocking", "async", "import"])
    arguments = parser.parse_args()
    rounds, only = arguments.rounds, arguments.only
    with server() as base:
        if only in (None, "blocking"):
            blocking(base, rounds)
        if only in (None, "async"):
            asynchronous(base, rounds)
    if only in (None, "import"):
        imports(rounds)


if __name__ == "__main__":
    main()
