"""Where our errors become LangChain's; the classes for that are loaded when a call fails for the first time."""

from __future__ import annotations

from types import TracebackType

from omnilabs.errors import OmniError

__all__ = ["langchain_errors"]


class langchain_errors:  # reads as a statement: `with langchain_errors():`
    """Raise our errors from within as errors of both families."""

    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, OmniError):
            from langchain_omni._errors import to_langchain_error

            raise to_langchain_error(error) from error.__cause__
