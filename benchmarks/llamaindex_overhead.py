"""What `OmniLLM` costs over the least a LlamaIndex LLM can cost: CPU of a call, of a stream, and of the import.

    python benchmarks/llamaindex_overhead.py [--rounds 15]

A server in a process of its own answers from memory; the LLMs take turns, round by round; each figure is the median
over the rounds of the ratio of CPU times to the floor's. The floor is the smallest LLM over raw `httpx2` that
LlamaIndex accepts: its events, callbacks and pydantic messages are what every integration pays.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx2
from _server import CHUNKS, server
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    LLMMetadata,
)
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.callbacks import llm_chat_callback

from llamaindex_omni import OmniLLM

MESSAGES = [ChatMessage(role="user", content="Tell me a joke about routers.")]
HEADERS = {"authorization": "Bearer sk-test"}
TARGETS = {"chat": 1.3, "achat": 1.3, "stream_chat": 1.5, "astream_chat": 1.5}
IMPORT_TARGET = 1.10
RSS_TARGET_MIB = 10
LONG_STREAM_TARGET = 11.0


class Floor(CustomLLM):
    """The smallest LLM over raw httpx2; only the four chat endpoints are real."""

    url: str
    _http: httpx2.Client = PrivateAttr(default_factory=httpx2.Client)
    _ahttp: httpx2.AsyncClient = PrivateAttr(default_factory=httpx2.AsyncClient)

    @property
    def metadata(self) -> LLMMetadata:
        """Return what LlamaIndex reads of it."""
        return LLMMetadata(context_window=128_000, is_chat_model=True, model_name="gpt-4o")

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        """Refuse: not measured."""
        raise NotImplementedError

    stream_complete = complete

    def _body(self, messages: Any, **more: Any) -> dict[str, Any]:
        return {"model": "gpt-4o", "messages": [{"role": m.role.value, "content": m.content} for m in messages], **more}

    @staticmethod
    def _answer(text: str, raw: Any, delta: str | None = None) -> ChatResponse:
        return ChatResponse(message=ChatMessage(role="assistant", content=text), raw=raw, delta=delta)

    @llm_chat_callback()
    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        """Post and parse."""
        raw = self._http.post(self.url, json=self._body(messages), headers=HEADERS).raise_for_status().json()
        return self._answer(raw["choices"][0]["message"]["content"], raw)

    @llm_chat_callback()
    async def achat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        """Post and parse."""
        reply = await self._ahttp.post(self.url, json=self._body(messages), headers=HEADERS)
        raw = reply.raise_for_status().json()
        return self._answer(raw["choices"][0]["message"]["content"], raw)

    @llm_chat_callback()
    def stream_chat(self, messages: Any, **kwargs: Any) -> ChatResponseGen:
        """Read line by line."""

        def gen() -> ChatResponseGen:
            text = ""
            body = self._body(messages, stream=True)
            with self._http.stream("POST", self.url, json=body, headers=HEADERS) as response:
                response.raise_for_status()
                for line in response.iter_lines():
                    if line.startswith("data: {"):
                        raw = json.loads(line[6:])
                        delta = raw["choices"][0]["delta"].get("content", "") if raw["choices"] else ""
                        text += delta
                        yield self._answer(text, raw, delta)

        return gen()

    @llm_chat_callback()
    async def astream_chat(self, messages: Any, **kwargs: Any) -> ChatResponseAsyncGen:
        """Read line by line."""

        async def gen() -> ChatResponseAsyncGen:
            text = ""
            body = self._body(messages, stream=True)
            async with self._ahttp.stream("POST", self.url, json=body, headers=HEADERS) as response:
                response.raise_for_status()
                async for line in response.aiter_lines():
                    if line.startswith("data: {"):
                        raw = json.loads(line[6:])
                        delta = raw["choices"][0]["delta"].get("content", "") if raw["choices"] else ""
                        text += delta
                        yield self._answer(text, raw, delta)

        return gen()


def cpu_s(work: Callable[[], object], times: int) -> float:
    """Return the CPU seconds of one `work()`."""
    begun = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - begun) / times


def task(llm: Any, endpoint: str, run: Callable[[Any], Any]) -> Callable[[], object]:
    """Return one call of an endpoint, read to its end."""

    async def read() -> object:
        answer = await getattr(llm, endpoint)(MESSAGES)
        return [chunk async for chunk in answer] if "stream" in endpoint else answer

    if endpoint.startswith("a"):
        return lambda: run(read())
    if "stream" in endpoint:
        return lambda: sum(1 for _ in getattr(llm, endpoint)(MESSAGES))
    return lambda: getattr(llm, endpoint)(MESSAGES)


def compare(base: str, rounds: int) -> None:
    """Print each endpoint's CPU as a ratio to the floor's."""
    providers = {"openai": {"api_key": "sk-test", "base_url": f"{base}/v1"}}
    llms = {
        "floor": Floor(url=f"{base}/v1/chat/completions"),
        "named": OmniLLM(model="gpt-4o", providers=providers),
        "auto": OmniLLM(providers=providers),
    }
    with asyncio.Runner() as runner:
        for endpoint, target in TARGETS.items():
            works = {name: task(llm, endpoint, runner.run) for name, llm in llms.items()}
            times = 4 if "stream" in endpoint else 30
            for work in works.values():
                work()
            figures: dict[str, list[float]] = {name: [] for name in works}
            for _ in range(rounds):
                for name, work in works.items():
                    figures[name].append(cpu_s(work, times))
            print(f"{endpoint}: floor {statistics.median(figures['floor']) * 1e6:.0f} us of CPU")
            for name in ("named", "auto"):
                ratios = [own / least for own, least in zip(figures[name], figures["floor"], strict=True)]
                bound = f"  (target {target}x)" if name == "named" else ""
                print(f"  {name:<6} {statistics.median(ratios):5.2f}x{bound}")


def long_stream(base: str, rounds: int) -> None:
    """Print what ten times the chunks cost."""
    short, long = (
        OmniLLM(model="gpt-4o", providers={"openai": {"api_key": "sk-test", "base_url": f"{base}{path}"}})
        for path in ("/v1", "/2000/v1")
    )
    works = [task(llm, "stream_chat", asyncio.run) for llm in (short, long)]
    ratios = [cpu_s(works[1], 1) / cpu_s(works[0], 1) for _ in range(rounds)]
    print(f"2,000 chunks over {CHUNKS}: {statistics.median(ratios):.1f}x  (target {LONG_STREAM_TARGET}x)")


def imports(rounds: int) -> None:
    """Print the import's CPU time and the process's peak memory against LlamaIndex's own (Linux)."""
    code = (
        "import time; t = time.process_time(); import {module}; t = time.process_time() - t;"
        "own = [line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')]; print(t, *own)"
    )
    figures: dict[str, list[tuple[float, float]]] = {
        "llama_index.core.llms.function_calling": [],
        "llamaindex_omni": [],
    }
    for _ in range(rounds):
        for module, own in figures.items():
            line = subprocess.run([sys.executable, "-c", code.format(module=module)], capture_output=True, check=True)
            seconds, kib = line.stdout.split()
            own.append((float(seconds), float(kib)))
    base, ours = figures.values()
    ratio = statistics.median(mine[0] / theirs[0] for mine, theirs in zip(ours, base, strict=True))
    more_mib = statistics.median(mine[1] - theirs[1] for mine, theirs in zip(ours, base, strict=True)) / 1024
    print(f"import: {ratio:.2f}x of {next(iter(figures))}  (target {IMPORT_TARGET}x)")
    print(f"memory: +{more_mib:.1f} MiB  (target +{RSS_TARGET_MIB} MiB)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with server() as base:
        compare(base, rounds)
        long_stream(base, rounds)
    imports(max(3, rounds // 3))


if __name__ == "__main__":
    main()
