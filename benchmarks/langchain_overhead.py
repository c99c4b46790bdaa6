"""What `ChatOmni` costs over the least a LangChain chat model can cost: client CPU per call, in one run.

    python benchmarks/langchain_overhead.py [--rounds 30] [--only stream]

A server in a process of its own answers from memory. The clients take turns, round by round; each figure is the median
over the rounds of the ratio of CPU times (`time.process_time`), so that a busy machine troubles all of them alike.

- raw: `httpx2` and `json.loads`, nothing else
- floor: the smallest legal chat model over that, which every LangChain integration pays
- omni: `ChatOmni`, once with a named model and once with "auto"
- openai: `langchain-openai`, where it is installed
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
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.util import find_spec
from typing import Any

import httpx2
from _server import CHUNKS, server
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from langchain_omni import ChatOmni

PROMPT = "Tell me about the sea, in a few sentences, and say what you do not know."
MODEL = "gpt-4o-mini"
WAYS = ("invoke", "ainvoke", "stream", "astream")
CALLS = {"invoke": 20, "ainvoke": 20, "stream": 4, "astream": 4}


# ---- raw and floor


class Raw:
    """`httpx2` and `json.loads`."""

    def __init__(self, url: str) -> None:
        self.url = f"{url}/chat/completions"
        self.sync = httpx2.Client()
        self.async_ = httpx2.AsyncClient()

    def body(self, prompt: str, stream: bool) -> dict[str, Any]:
        """Return the request."""
        body = {"model": MODEL, "messages": [{"role": "user", "content": prompt}]}
        return {**body, "stream": True, "stream_options": {"include_usage": True}} if stream else body

    def invoke(self, prompt: str) -> dict[str, Any]:
        """Return the answer's JSON."""
        return json.loads(self.sync.post(self.url, json=self.body(prompt, False)).content)

    async def ainvoke(self, prompt: str) -> dict[str, Any]:
        """Return the answer's JSON."""
        return json.loads((await self.async_.post(self.url, json=self.body(prompt, False))).content)

    def stream(self, prompt: str) -> Iterator[dict[str, Any]]:
        """Yield the chunks' JSON."""
        with self.sync.stream("POST", self.url, json=self.body(prompt, True)) as response:
            for line in response.iter_lines():
                if line.startswith("data: {"):
                    yield json.loads(line[6:])

    async def astream(self, prompt: str) -> AsyncIterator[dict[str, Any]]:
        """Yield the chunks' JSON."""
        async with self.async_.stream("POST", self.url, json=self.body(prompt, True)) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    yield json.loads(line[6:])


class Floor(BaseChatModel):
    """The smallest legal chat model: text in, text, usage and the model's name out."""

    raw: Any

    @property
    def _llm_type(self) -> str:
        return "floor"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        return _whole(self.raw.invoke(messages[-1].content))

    async def _agenerate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        return _whole(await self.raw.ainvoke(messages[-1].content))

    def _stream(self, messages: list[BaseMessage], *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        for data in self.raw.stream(messages[-1].content):
            yield _piece(data)

    async def _astream(self, messages: list[BaseMessage], *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:
        async for data in self.raw.astream(messages[-1].content):
            yield _piece(data)


def _whole(data: dict[str, Any]) -> ChatResult:
    message = AIMessage(
        content=data["choices"][0]["message"]["content"],
        usage_metadata=_usage(data["usage"]),
        response_metadata={"model_name": data["model"]},
    )
    return ChatResult(generations=[ChatGeneration(message=message)])


def _piece(data: dict[str, Any]) -> ChatGenerationChunk:
    if not data["choices"]:
        last = AIMessageChunk(
            content="", usage_metadata=_usage(data["usage"]), response_metadata={"model_name": data["model"]}
        )
        return ChatGenerationChunk(message=last)
    return ChatGenerationChunk(message=AIMessageChunk(content=data["choices"][0]["delta"].get("content") or ""))


def _usage(usage: dict[str, int]) -> Any:
    names = {"input_tokens": "prompt_tokens", "output_tokens": "completion_tokens", "total_tokens": "total_tokens"}
    return {ours: usage[theirs] for ours, theirs in names.items()}


# ---- measuring


def _clients(url: str) -> dict[str, Any]:
    raw = Raw(url)
    providers = {"openai": {"api_key": "test", "base_url": url}}
    clients = {
        "raw": raw,
        "floor": Floor(raw=raw),
        "omni": ChatOmni(model=MODEL, providers=providers),
        "omni auto": ChatOmni(model="auto", model_names=[MODEL, "gpt-4o"], rel_cost=0.5, providers=providers),
    }
    if find_spec("langchain_openai"):
        from langchain_openai import ChatOpenAI

        clients["openai"] = ChatOpenAI(model=MODEL, api_key="test", base_url=url, stream_usage=True)
    return clients


async def _drain(stream: AsyncIterator[Any]) -> None:
    async for _ in stream:
        pass


def _caller(client: Any, way: str, run: Callable[[Any], Any]) -> Callable[[], None]:
    method = getattr(client, way)
    match way:
        case "invoke":
            return lambda: method(PROMPT)
        case "stream":
            return lambda: [None for _ in method(PROMPT)] and None
        case "ainvoke":
            return lambda: run(method(PROMPT))
        case _:
            return lambda: run(_drain(method(PROMPT)))


def _cpu_s(call: Callable[[], None], times: int) -> float:
    begun = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - begun) / times


def measure(url: str, ways: tuple[str, ...], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Return the CPU seconds per call: by way, by client, by round."""
    clients = _clients(url)
    found: dict[str, dict[str, list[float]]] = {}
    with asyncio.Runner() as runner:
        for way in ways:
            callers = {name: _caller(client, way, runner.run) for name, client in clients.items()}
            found[way] = {name: [] for name in callers}
            for call in callers.values():
                _cpu_s(call, 3)
            for _ in range(rounds):
                for name, call in callers.items():
                    found[way][name].append(_cpu_s(call, CALLS[way]))
    return found


def report(found: dict[str, dict[str, list[float]]]) -> None:
    """Print microseconds and ratios."""
    for way, times in found.items():
        print(f"\n{way} ({f'{CHUNKS} chunks' if 'stream' in way else 'one answer'})")
        for name, own in times.items():
            to_raw = statistics.median(a / b for a, b in zip(own, times["raw"], strict=True))
            to_floor = statistics.median(a / b for a, b in zip(own, times["floor"], strict=True))
            us = statistics.median(own) * 1e6
            print(f"  {name:10} {us:9.0f} us   {to_raw:5.2f} x raw   {to_floor:5.2f} x floor")


def construction_ms() -> float:
    """Return the median milliseconds of a construction after the first."""
    providers = {"openai": {"api_key": "test"}}
    times: list[float] = []
    for _ in range(200):
        begun = time.perf_counter()
        ChatOmni(model="auto", providers=providers, temperature=0)
        times.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(times[1:])


def import_ratios(rounds: int) -> tuple[float, float]:
    """Return the CPU time to import `ChatOmni` over that of importing the modules of langchain-core it loads.

    The first is that of a script's first line, the second the mean over imports from deeper and deeper in the program:
    CPython keeps frames in chunks of 16 KiB, and which import happens to cross the end of one changes its time by a
    tenth. Both sides from compiled files, as an installed package has them.
    """
    with tempfile.TemporaryDirectory() as cache:
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env["PYTHONPYCACHEPREFIX"] = cache
        ours = "from langchain_omni import ChatOmni"
        core = "(name for name in sys.modules if name.startswith('langchain_core'))"
        needed = f"import {', '.join(_python(f'{ours}; import sys; print(*{core})', env).split())}"
        _import_cpu_s(needed, env)
        ratios = [_import_cpu_s(ours, env) / _import_cpu_s(needed, env) for _ in range(rounds)]
        times = [(_import_cpu_s(ours, env, depth), _import_cpu_s(needed, env, depth)) for depth in range(0, 120, 8)]
        return statistics.median(ratios), sum(own for own, _ in times) / sum(least for _, least in times)


def _import_cpu_s(code: str, env: dict[str, str], depth: int = 0) -> float:
    program = f"""
import time
begun = time.process_time()
def call(depth):
    if depth:
        return call(depth - 1)
    {code}
if {depth}:
    call({depth})
else:
    {code}
print(time.process_time() - begun)
"""
    return float(_python(program, env))


def _python(code: str, env: dict[str, str]) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=env).stdout


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--only", choices=WAYS)
    options = parser.parse_args()
    with server() as url:
        report(measure(url, (options.only,) if options.only else WAYS, options.rounds))
    if options.only is None:
        print(f"\nconstruction  {construction_ms():.3f} ms")
        first, anywhere = import_ratios(max(options.rounds // 2, 5))
        print(f"import        {first:.2f} x the parts of langchain-core it needs; at any depth {anywhere:.2f} x")


if __name__ == "__main__":
    main()
