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
from langchain_core.messages import BaseMessage, HumanMessage
from langgraph.types import Command

from langchain_omni._answer import decision_json
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

    A choice that fails (no model can do it, no key) ends the run with its error; nothing is chosen in silence. The
    route stands in the state as `omni_route`: `model`, `provider`, the whole `decision`, and `message_id`, the human
    message it was chosen for.
    """

    state_schema = OmniRouteState

    def __init__(
        self,
        model: ChatOmni | None = None,
        *,
        models: Mapping[str, BaseChatModel] | None = None,
        scope: Literal["run", "call"] = "run",
    ) -> None:
        """Say who chooses, among which models, and how often.

        Args:
            model: Who chooses and answers; the agent's own model where it is a `ChatOmni`.
            models: Chat models of any integration by our id of their model, to choose among and to answer.
            scope: "run" chooses at a run's first call and stays with it, which keeps prompt caches warm; "call" chooses
                anew for every call.
        """
        super().__init__()
        self._model = model
        self._models = models
        self._scope = scope

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ExtendedModelResponse[Any]:
        """Choose if it is time to, and let the chosen model answer."""
        chooser = self._chooser(request)
        route = self._kept(request)
        if route is None:
            route = _route(chooser.select(*_asked(request), **self._needs(request)), request)
        return _remembered(handler(request.override(model=self._answerer(chooser, route))), route)

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ExtendedModelResponse[Any]:
        """Choose if it is time to, and let the chosen model answer."""
        chooser = self._chooser(request)
        route = self._kept(request)
        if route is None:
            route = _route(await chooser.aselect(*_asked(request), **self._needs(request)), request)
        return _remembered(await handler(request.override(model=self._answerer(chooser, route))), route)

    def _chooser(self, request: ModelRequest[Any]) -> ChatOmni:
        chooser = self._model or request.model
        if not isinstance(chooser, ChatOmni):
            raise ConfigurationError(
                f"the agent's model is a {type(chooser).__name__}: pass OmniRouterMiddleware a ChatOmni that chooses"
            )
        return chooser

    def _kept(self, request: ModelRequest[Any]) -> dict[str, Any] | None:
        """Return the route of this run if one was chosen for its human message already."""
        route = cast("OmniRouteState", request.state).get("omni_route")
        if self._scope == "call" or route is None or route["message_id"] != _message_id(request):
            return None
        return route

    def _needs(self, request: ModelRequest[Any]) -> dict[str, Any]:
        """Return what the model must be able to do."""
        needs: dict[str, Any] = {"tools": request.tools or None}
        if request.response_format is not None:
            needs["response_format"] = _ANY_FORM
        if self._models is not None:
            needs["model_names"] = list(self._models)
        return needs

    def _answerer(self, chooser: ChatOmni, route: Mapping[str, Any]) -> BaseChatModel:
        if self._models is None:
            return chooser.model_copy(
                update={"model": route["model"], "profile": chooser._profile_of([route["model"]])}
            )
        # The choice has the catalogue's id, `models` may name the same model by an alias.
        return next(model for name, model in self._models.items() if chooser._id_of(name) == route["model"])


def _asked(request: ModelRequest[Any]) -> tuple[list[BaseMessage]]:
    system = [] if request.system_message is None else [request.system_message]
    return ([*system, *request.messages],)


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
