"""The sandbox: a provider inside the process, for trying things out and for users' own tests, as a test mode is.

It speaks OpenAI's wire, so that the whole pipe of a call runs: building, retries, streams, usage, cost. Its answers are
made up from the request alone and say so; see `SandboxTransport`.
"""

from omnilabs._sandbox._answer import MARK
from omnilabs._sandbox._faults import FAULTS
from omnilabs._sandbox._transports import AsyncSandboxTransport, SandboxTransport, answer

__all__ = ["FAULTS", "MARK", "AsyncSandboxTransport", "SandboxTransport", "answer"]
