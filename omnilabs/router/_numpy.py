"""The one door to numpy: learning from records and scoring a router need it, choosing a model by the prior does not."""

from __future__ import annotations

import importlib.util

from omnilabs.errors import ConfigurationError

__all__ = ["need_numpy"]


def need_numpy(what: str) -> None:
    """Check that numpy can be imported.

    Raises:
        ConfigurationError: It is not installed; the message says how to install it.
    """
    if importlib.util.find_spec("numpy") is None:
        raise ConfigurationError(f"{what} needs numpy: pip install 'omnirouter[fit]'")
