"""`OmniRouterMiddleware`: an agent whose model is chosen for each run, or for each call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, NotRequired, cast

from langchain.agents.middleware.types import (
    AgentMiddleware,
    AgentState,
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
)
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage
from langgraph.types import Command

from langchain_omni._answer import decision_json
from langchain_omni._binding import OmniBinding
from langchain_omni._raising import langchain_errors
from langchain_omni._routing import AUTO
from langchain_omni.chat_models import ChatOmni
from omnilabs.errors import ConfigurationError
from omnilabs.types import Decision

__all__ = ["OmniRouteState", "OmniRouterMiddleware"]

_ANY_FORM = {"title": "answer", "type": "object", "properties": {}}


class OmniRouteState(AgentState[Any]):
    """An agent's state with the route of its model, in plain JSON types so that any checkpointer keeps it."""

    omni_route: NotRequired[dict[str, Any]]


class OmniRouterMiddleware(AgentMiddleware[OmniRouteState, Any, Any]):
    """Chooses the agent's model.

    ```python
    agent = create_agent(ChatOmni(), tools, middleware=[OmniRouterMiddleware(scope="run")])
    ```

    A choice that fails (no model can do it, no key) ends the run with its error; nothing is chosen in silence. If the
    chosen model fails, the next of the ranking answers, as with "auto" elsewhere, and a model that cannot answer what
    comes later in a run (a picture, say) gives way to a new choice. The route stands in the state as `omni_route`:
    `model`, `provider`, the whole `decision`, and `message_id`, the human message it was chosen for. What is bound to
    the model, and the call's own settings, count in the choice.
    """

    state_schema = OmniRouteState

    def __init__(
        self,
        model: ChatOmni | OmniBinding | None = None,
        *,
        models: Mapping[str, BaseChatModel] | None = None,
        scope: Literal["run", "call"] = "run",
    ) -> None:
        """Say who chooses, among which models, and how often.

        Args:
            model: Who chooses and answers; the agent's own model where it is a `ChatOmni`.
            models: Chat models of any integration by our id of their model, to choose among and to answer. Whether
                others step in when one fails is up to them.
            scope: "run" chooses at a run's first call and stays with it, which keeps prompt caches warm; "call" chooses
                anew for every call, but within a tool loop only where the model's `sticky` is "off".
        """
        super().__init__()
        self._model = model
        self._models = models
        self._scope = scope

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ExtendedModelResponse[Any]:
        """Choose if it is time to, and let the chosen model answer."""
        routed, route = self._routed(request)
        return _remembered(handler(routed), route)

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ExtendedModelResponse[Any]:
        """Choose if it is time to, and let the chosen model answer."""
        routed, route = self._routed(request)
        return _remembered(await handler(routed), route)

    def _routed(self, request: ModelRequest[Any]) -> tuple[ModelRequest[Any], dict[str, Any]]:
        """Return the request with the model to answer it, and the route to remember."""
        given = self._model or request.model
        chooser = given.bound if isinstance(given, OmniBinding) else given
        if not isinstance(chooser, ChatOmni):
            raise ConfigurationError(
                f"the agent's model is a {type(chooser).__name__}: pass OmniRouterMiddleware a ChatOmni that chooses"
            )
        settings = {**(given.kwargs if isinstance(given, OmniBinding) else {}), **request.model_settings}
        named = settings.pop("model", AUTO)
        if named != AUTO:
            settings["model_names"] = [named]
        kept = self._kept(request, chooser)
        settled = None if kept is None else kept["model"]
        with langchain_errors():
            decision, reason = chooser._decide(_asked(request), {**settings, **self._needs(request)}, settled)
        stays = kept is not None and kept["model"] == decision.model
        answerer: Any = self._answerer(chooser, decision, reason)
        if isinstance(given, OmniBinding) and self._models is None:
            answerer = given.model_copy(update={"bound": answerer})
        return request.override(model=answerer), kept if kept is not None and stays else _route(decision, request)

    def _kept(self, request: ModelRequest[Any], chooser: ChatOmni) -> dict[str, Any] | None:
        """Return the route chosen for this human message before, if the run or the tool loop is to stay with it."""
        route = cast("OmniRouteState", request.state).get("omni_route")
        if route is None or route["message_id"] != _message_id(request):
            return None
        in_loop = chooser.sticky != "off" and isinstance(request.messages[-1], ToolMessage)
        return route if self._scope == "run" or in_loop else None

    def _needs(self, request: ModelRequest[Any]) -> dict[str, Any]:
        """Return what the model must be able to do."""
        needs: dict[str, Any] = {"tools": request.tools} if request.tools else {}
        if request.response_format is not None:
            needs["response_format"] = _ANY_FORM
        if self._models is not None:
            needs["model_names"] = list(self._models)
        return needs

    def _answerer(self, chooser: ChatOmni, decision: Decision, reason: Literal["auto", "sticky"]) -> BaseChatModel:
        if self._models is None:
            return chooser._decided(decision, reason)
        # The choice has the catalogue's id, `models` may name the same model by an alias.
        return next(model for name, model in self._models.items() if chooser._id_of(name) == decision.model)


def _asked(request: ModelRequest[Any]) -> list[BaseMessage]:
    system = [] if request.system_message is None else [request.system_message]
    return [*system, *request.messages]


def _message_id(request: ModelRequest[Any]) -> str | None:
    return next((message.id for message in reversed(request.messages) if isinstance(message, HumanMessage)), None)


def _route(decision: Decision, request: ModelRequest[Any]) -> dict[str, Any]:
    return {
        "model": decision.model,
        "provider": decision.provider,
        "message_id": _message_id(request),
        "decision": decision_json(decision),
    }


def _remembered(response: ModelResponse[Any], route: dict[str, Any]) -> ExtendedModelResponse[Any]:
    return ExtendedModelResponse(response, Command(update={"omni_route": route}))
