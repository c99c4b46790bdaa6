"""The providers as rows, and the wire formats they speak."""

from omnilabs.providers._base import Endpoint, ProviderSpec, Target
from omnilabs.providers._registry import PROVIDERS, wire_named

__all__ = ["PROVIDERS", "Endpoint", "ProviderSpec", "Target", "wire_named"]
