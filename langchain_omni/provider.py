"""`init_chat_model("omni:auto")`, for those who ask for it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from omnilabs.errors import ConfigurationError

__all__ = ["register_provider"]


def register_provider() -> None:
    """Make `init_chat_model("omni:auto")` and `create_agent("omni:auto")` find `ChatOmni`.

    LangChain keeps its providers in a table of its own and has no way in for others; this adds one row to it, at your
    request only. Calling it twice does no harm.

    Raises:
        ConfigurationError: The installed `langchain` keeps its table elsewhere; use `ChatOmni` itself.
    """
    base: Any = import_module("langchain.chat_models.base")
    table: Any = getattr(base, "_BUILTIN_PROVIDERS", None)
    row: Any = table.get("openai") if isinstance(table, dict) else None
    if not (isinstance(table, dict) and isinstance(row, tuple) and len(row) == 3 and callable(row[2])):
        raise ConfigurationError(
            "this version of langchain keeps its providers where register_provider() does not find them: construct "
            "ChatOmni(...) and pass the model itself"
        )
    table["omni"] = ("langchain_omni", "ChatOmni", row[2])
