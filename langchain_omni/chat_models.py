"""`ChatOmni`: every model behind one LangChain chat model, and with `model="auto"` the right one for each prompt."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from inspect import signature
from typing import TYPE_CHECKING, Any, Literal, Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput, ModelProfile
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig
from pydantic import PrivateAttr

from langchain_omni._answer import PROVIDER, to_chunk, to_first_chunk, to_last_chunk, to_message
from langchain_omni._blocks import register_blocks
from langchain_omni._convert import to_omni_messages
from langchain_omni._model import OmniModel
from langchain_omni._profiles import candidates_profile, configured_profile, profile_of, variables_that_configure
from langchain_omni._raising import langchain_errors
from langchain_omni._routing import AUTO, Choice, Plan, choose, plan_call
from langchain_omni._settings import CONFIG
from langchain_omni._tools import (
    Method,
    Schema,
    ToolLike,
    answer_format,
    bound_tools,
    check_method,
    chosen_tool,
    json_schema_format,
    schema_as_tool,
    schema_name,
)
from omnilabs import AsyncChatStream, ChatChunk, ChatResponse, ChatStream
from omnilabs.router import Router
from omnilabs.types import Decision

if TYPE_CHECKING:
    from langchain_omni._binding import OmniBinding
else:  # as much as LangChain wants to know of it: its fallbacks ask, at run time, which methods return a Runnable
    OmniBinding = Runnable

__all__ = ["ChatOmni"]


class ChatOmni(OmniModel, BaseChatModel):
    """A chat model in front of every provider.

    ```python
    from langchain_omni import ChatOmni

    model = ChatOmni(model="auto", rel_cost=0.8, rel_accuracy=0.2)
    answer = model.invoke("Name three uses of a paper clip.")
    print(answer.text, answer.response_metadata["model_name"], answer.response_metadata["cost"])
    ```
    """

    model_config = CONFIG

    langsmith_model: bool = False
    """Show LangSmith the served model and vendor instead of "auto" and "omni", so that it prices the tokens itself.

    It uses what LangSmith's own gateway tells its tracer, which is no public contract: off unless asked for.
    """

    _decision: tuple[Decision, Literal["auto", "sticky"]] | None = PrivateAttr(default=None)
    """The decision to answer by, as long as the model is the one it chose, and how it came about."""

    @property
    def _llm_type(self) -> str:
        return "omni-chat"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with langchain_errors():
            plan = self._plan(messages, stop, kwargs)
            response = self._ask(plan)
        return self._result(response, plan.choice)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with langchain_errors():
            plan = self._plan(messages, stop, kwargs)
            response = await self._aask(plan)
        return self._result(response, plan.choice)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with langchain_errors():
            plan = self._plan(messages, stop, kwargs)
            with self._open(plan) as stream:
                reader = _Reader(stream, plan.choice, self.langsmith_model)
                for chunk in stream:
                    yield reader.read(chunk)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        with langchain_errors():
            plan = self._plan(messages, stop, kwargs)
            async with await self._aopen(plan) as stream:
                reader = _Reader(stream, plan.choice, self.langsmith_model)
                async for chunk in stream:
                    yield reader.read(chunk)

    def _result(self, response: ChatResponse, choice: Choice) -> ChatResult:
        info = _for_langsmith(response) if self.langsmith_model else None
        generation = ChatGeneration(message=to_message(response, choice), generation_info=info)
        return ChatResult(
            generations=[generation], llm_output={"model_name": response.model, "cost": response.usage.total_cost}
        )

    def _plan(self, messages: Sequence[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]) -> Plan:
        if stop is not None:
            kwargs = {**kwargs, "stop": stop}
        plan = plan_call(to_omni_messages(messages), messages, self._call_defaults, kwargs, self.sticky)
        if plan.settled is not None:
            return self._stay(plan, plan.settled)
        if self._decision is not None and plan.arguments.get("model") == self._decision[0].model:
            return plan.answered_by(*self._decision)
        return plan

    def _stay(self, plan: Plan, settled: str) -> Plan:
        """Return the plan with the model that answered before in front, as far as it can answer this too."""
        client = self._pair().blocking
        names = plan.arguments.get("model_names")
        if client.mode == "hosted":
            return plan.answered_by(settled, "sticky") if names is None or settled in names else plan
        kept = _kept(client.router, settled, names)
        if kept is not None:
            decision = choose(client.select, plan.arguments, kept)
            return plan.answered_by(decision, "sticky" if decision.model == kept else "auto")
        # Asked by `provider/name`, a model may be one of which nothing is known.
        unknown = names is None and client.router.find(settled) is None
        named = unknown and settled.partition("/")[0] in (self.providers or ())
        return plan.answered_by(settled, "sticky") if named else plan

    # ---- the decision alone

    def select(self, input: LanguageModelInput, **kwargs: Any) -> Decision:
        """Return the decision `model="auto"` would take for this input, `sticky` included; nothing is sent or spent.

        Args:
            input: Text, messages or a prompt.
            **kwargs: Settings of the call, which decide who can answer: `tools`, `response_format`, `rel_cost`, ...

        Raises:
            ConfigurationError: In hosted mode: the service decides only together with an answer.
            NoEligibleModelError: No model can answer; `.rejected` holds each one's reason.
        """
        with langchain_errors():
            return self._decide(input, kwargs)[0]

    async def aselect(self, input: LanguageModelInput, **kwargs: Any) -> Decision:
        """Return the decision, as `select` does; it waits for nothing."""
        return self.select(input, **kwargs)

    def _decide(
        self, input: LanguageModelInput, given: Mapping[str, Any], settled: str | None = None
    ) -> tuple[Decision, Literal["auto", "sticky"]]:
        """Return the decision for this input and how it came about; `settled` goes before what `sticky` keeps."""
        tools = bound_tools(given["tools"], None) if given.get("tools") else None
        settings = {**self._call_defaults, **given, "model": AUTO, "tools": tools}
        messages = self._convert_input(input).to_messages()
        plan = plan_call(to_omni_messages(messages), messages, {}, settings, self.sticky)
        client, settled = self._pair().blocking, settled or plan.settled
        kept = None if settled is None else _kept(client.router, settled, plan.arguments.get("model_names"))
        decision = choose(client.select, plan.arguments, kept)
        return decision, "sticky" if decision.model == kept else "auto"

    def _decided(self, decision: Decision, reason: Literal["auto", "sticky"]) -> Self:
        """Return a copy that answers by a decision taken before, the first of its models unless that fails."""
        profile = self._profile_of([decision.model])
        copied = self.model_copy(update={"model": decision.model, "profile": profile})
        copied._decision = decision, reason
        return copied

    # ---- binding

    def bind(self, **kwargs: Any) -> OmniBinding:  # type: ignore[override]  # core's own class for it is private
        """Return the model with settings of the call fixed, such as `rel_cost=0.9`."""
        return _bound(self, kwargs, {})

    def with_config(self, config: RunnableConfig | None = None, **kwargs: Any) -> OmniBinding:
        """Return the model with LangChain's configuration fixed, such as `tags=["draft"]`."""
        merged: Any = {**(config or {}), **kwargs}
        return _bound(self, {}, merged)

    def bind_tools(
        self,
        tools: Sequence[ToolLike],
        *,
        tool_choice: str | bool | Mapping[str, Any] | None = None,
        strict: bool | None = None,
        parallel_tool_calls: bool | None = None,
        response_format: Schema | None = None,
        **kwargs: Any,
    ) -> OmniBinding:
        """Return the model with tools it may call.

        Args:
            tools: Tools, functions, pydantic classes, or schemas in OpenAI's or Anthropic's format.
            tool_choice: "auto", "none", "required" (or "any", or True), a tool's name, or OpenAI's dict.
            strict: Whether arguments must keep to the schema exactly, where the provider can promise it.
            parallel_tool_calls: Whether one answer may call several tools.
            response_format: A schema the final answer must have.
            **kwargs: Settings of the call, such as `rel_cost=0.9` or `model="gpt-4o"`.

        Raises:
            InvalidRequestError: A tool choice that is none of the tools.
        """
        ready = bound_tools(tools, strict)
        names = [str(tool["function"]["name"]) for tool in ready if "function" in tool]
        with langchain_errors():
            settings: dict[str, Any] = {
                "tools": ready or None,
                "tool_choice": chosen_tool(tool_choice, names),
                "parallel_tool_calls": parallel_tool_calls,
                "response_format": answer_format(response_format, strict),
            }
        return self.bind(**{name: value for name, value in settings.items() if value is not None}, **kwargs)

    def with_structured_output(
        self,
        schema: Schema | None = None,
        *,
        method: Method = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Return the model followed by a parser: it answers with an object of `schema`.

        Args:
            schema: A pydantic class, a TypedDict, a JSON schema with a `title`, or a tool or `response_format` in
                OpenAI's format.
            method: "json_schema" asks for the schema by the provider's own means, or by a tool where it has none;
                "function_calling" always by a tool; "json_mode" for any JSON, the form being described in the prompt.
            include_raw: Return `{"raw", "parsed", "parsing_error"}` and raise nothing when parsing fails. Streamed, a
                failure at the end is raised: parts of the answer are out by then.
            strict: Whether the answer must keep to the schema exactly, where the provider can promise it. Left out, it
                is not asked for.
            **kwargs: Settings of the call; but with "function_calling", `tools` that the model may call before it
                answers. The parsed answer is then None, and the calls are in "raw" of `include_raw`.

        Raises:
            InvalidRequestError: An unknown method, or what does not go with it.
            OmniRefusalError: When called: the model refused to answer.
            OutputParserException: When called: the answer is not of the schema, or was cut off.
        """
        from langchain_omni._structured import structured  # the parsers are loaded by those who need them

        with langchain_errors():
            check_method(schema, method, strict, kwargs)
        if schema is not None:
            trace = {"kwargs": {"method": method, "strict": strict}, "schema": schema}
            kwargs["ls_structured_output_format"] = trace
        bound: Runnable[LanguageModelInput, AIMessage]
        if schema is not None and method == "function_calling":
            tool = schema_as_tool(schema)
            bound = self.bind_tools([tool], tool_choice=schema_name(schema), strict=strict, **kwargs)
        else:
            any_json = {"type": "json_object"}
            form = any_json if schema is None or method == "json_mode" else json_schema_format(schema, strict)
            bound = self.bind_tools(kwargs.pop("tools", ()), strict=strict, response_format=form, **kwargs)
        return structured(bound, schema, method, include_raw=include_raw)

    # ---- what LangChain asks of a model

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy; it shares the connections unless the update changes whom to ask.

        Its profile is that of its own models, unless one was given.
        """
        copied = super().model_copy(update=update, deep=deep)
        if update and _DECIDE_THE_PROFILE & update.keys() and "profile" not in update:
            with suppress(Exception):  # as where LangChain asks for it: settings that do not fit are the call's to tell
                if self.profile == self._resolve_model_profile():
                    vars(copied)["profile"] = copied._resolve_model_profile()
        return copied

    def _resolve_model_profile(self) -> ModelProfile | None:
        if self.model != AUTO:
            return self._profile_of([self.model])
        if self.model_names:
            return self._profile_of(self.model_names)
        if self.client or self.async_client:
            return candidates_profile(self.client or self._pair().blocking)
        if self.models is not None or self.router is not None:
            return profile_of([model for model in self._known_models().catalog.models if not model.retired])
        return configured_profile(self.mode, frozenset(self.providers or ()), variables_that_configure())

    def _profile_of(self, names: Sequence[str]) -> ModelProfile | None:
        found = [self._known_models().find(name) for name in names]
        return None if None in found else profile_of([model for model in found if model is not None])

    def _id_of(self, name: str) -> str:
        """Return the catalogue's id of a model, or the name itself where the catalogue does not know it."""
        model = self._known_models().find(name)
        return name if model is None else model.id

    def _known_models(self) -> Router:
        ready = self.client or self.async_client
        return self.router or (ready.router if ready else Router(self.models))

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None], /) -> dict[str, Any]:
        answered = [output for output in llm_outputs if output is not None]  # None is LangChain's for a cached answer
        costs = [output["cost"] for output in answered]
        return {
            "models": dict(Counter(output["model_name"] for output in answered)),
            "cost": None if None in costs else sum(costs),
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        # The same as `model_provider` in the answer's metadata: middleware trusts reported tokens only if they agree.
        params["ls_provider"] = PROVIDER
        return params


def _kept(router: Router, settled: str, names: Sequence[str] | None) -> str | None:
    """Return the id of a model to stay with, or None where the router does not know it or is not to choose it now."""
    model = router.find(settled)
    if model is None or (names is not None and model not in [router.find(name) for name in names]):
        return None
    return str(model.id)


def _bound(model: ChatOmni, kwargs: dict[str, Any], config: RunnableConfig) -> OmniBinding:
    from langchain_omni._binding import OmniBinding  # loaded by those who bind: pydantic takes its time to build it

    return OmniBinding(bound=model, kwargs=kwargs, config=config)


_DECIDE_THE_PROFILE = frozenset(
    {"model", "model_names", "models", "router", "mode", "providers", "api_key", "base_url", "client", "async_client"}
)


class _Reader:
    """Turns the chunks of one open stream into LangChain's; the blocking and the asyncio loop both read through it."""

    def __init__(self, stream: ChatStream | AsyncChatStream, choice: Choice, langsmith_model: bool) -> None:
        self._stream = stream
        self._choice = choice
        self._langsmith_model = langsmith_model
        self._told: dict[str, Any] | None = None
        self._arguments: dict[int, str] = {}

    def read(self, chunk: ChatChunk) -> ChatGenerationChunk:
        """Return the next chunk: the first tells who answers, the last what it cost."""
        for call in chunk.tool_calls:
            self._arguments[call.index] = self._arguments.get(call.index, "") + call.arguments_json
        first: AIMessageChunk | None = None
        if self._told is None:
            first = to_first_chunk(chunk, self._stream.decision, self._choice)
            self._told = dict(first.response_metadata)
        if chunk.usage is None:
            return ChatGenerationChunk(message=first or to_chunk(chunk))
        response = self._stream.response
        last = to_last_chunk(response, self._told, self._choice, self._arguments)
        info = _for_langsmith(response) if self._langsmith_model else None
        # An answer without a word in it is one chunk, first and last at once.
        return ChatGenerationChunk(message=last if first is None else first + last, generation_info=info)


def _for_langsmith(response: ChatResponse) -> dict[str, Any]:
    return {"lc_gateway_metadata": {"model": response.model, "provider": response.provider}}


register_blocks()
for _method in (ChatOmni._generate, ChatOmni._agenerate):
    # LangChain inspects them at every call, to see whether they take a run manager; told once, it need not work it out.
    setattr(_method, "__signature__", signature(_method))  # noqa: B010  # functions have it, to no type checker's knowledge
