"""Checks of dumps and copies: they come back, and they hold no key."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys

from llama_index.core.llms.llm import LLM
from llama_index.core.settings import Settings

from llamaindex_omni.testing._calling import call, listening, text_of
from llamaindex_omni.testing._kit import SECRET, Kit
from llamaindex_omni.testing._server import OpenAIServer

__all__ = ["SerialisationChecks"]


class SerialisationChecks(Kit):
    """What is written down about an LLM, and what is made of it again."""

    def test_class_name_is_its_own(self, llm: LLM) -> None:
        """Dumps are told apart by it."""
        assert type(llm).class_name() not in ("", "base_component", "custom_llm")
        assert llm.to_dict()["class_name"] == type(llm).class_name()

    def test_key_is_used(self, llm: LLM, server: OpenAIServer) -> None:
        """Without this, the checks below would prove nothing."""
        self.needs("has_key")
        call(llm, "chat")
        assert SECRET in server.requests[0].headers["authorization"]

    def test_key_is_not_in_repr(self, llm: LLM) -> None:
        """Logs and notebooks print it."""
        self.needs("has_key")
        assert SECRET not in repr(llm)
        assert SECRET not in str(llm)

    def test_key_is_not_in_dumps(self, llm: LLM) -> None:
        """Index stores and workflow checkpoints hold them."""
        self.needs("has_key")
        assert SECRET not in json.dumps(llm.to_dict(), default=str)
        assert SECRET not in llm.to_json()

    def test_key_is_not_in_pickles(self, llm: LLM) -> None:
        """Files and queues hold those."""
        self.needs("has_key")
        assert SECRET.encode() not in pickle.dumps(llm)

    def test_key_is_not_told(self, llm: LLM) -> None:
        """Traces leave the house."""
        self.needs("has_key")
        with listening() as heard:
            call(llm, "chat")
        assert SECRET not in json.dumps([event.model_dump() for event in heard], default=str)
        assert SECRET not in json.dumps(llm.to_payload(), default=str)

    def test_payload_names_model_and_temperature(self, server: OpenAIServer) -> None:
        """Traces show what was asked for."""
        with self.made(server, temperature=0.25) as llm:
            payload = llm.to_payload()
        assert payload["temperature"] == 0.25
        assert payload["model"]

    def test_dict_round_trip(self, server: OpenAIServer) -> None:
        """`from_dict(to_dict())` gives the same settings."""
        with self.made(server, temperature=0.25, max_tokens=77) as llm:
            again = type(llm).from_dict(llm.to_dict())
            assert again.to_dict() == llm.to_dict()
            assert again.metadata == llm.metadata

    def test_json_round_trip(self, llm: LLM) -> None:
        """So does JSON."""
        assert type(llm).from_json(llm.to_json()).to_dict() == llm.to_dict()

    def test_pickle_round_trip(self, server: OpenAIServer) -> None:
        """The copy answers."""
        with self.made(server, temperature=0.25) as llm:
            call(llm, "chat")
            again = pickle.loads(pickle.dumps(llm))  # noqa: S301 - our own bytes
            assert again.to_dict() == llm.to_dict()
            assert text_of(call(again, "chat")[0]) == "Hello there, friend."

    def test_pickle_is_read_in_a_fresh_process(self, llm: LLM) -> None:
        """As `multiprocessing` does with its `spawn` method."""
        code = "import pickle, sys; print(pickle.loads(sys.stdin.buffer.read()).class_name())"
        done = subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-c", code], input=pickle.dumps(llm), capture_output=True, check=True
        )
        assert done.stdout.decode().strip() == type(llm).class_name()

    def test_deep_copy_answers(self, llm: LLM) -> None:
        """After a call, too, when connections are open."""
        call(llm, "chat")
        call(llm, "achat")
        again = copy.deepcopy(llm)
        assert again is not llm
        assert text_of(call(again, "chat")[0]) == text_of(call(again, "achat")[0]) == "Hello there, friend."

    def test_settings_take_it(self, llm: LLM) -> None:
        """`Settings.llm = llm` is how most programs start."""
        before = Settings._llm
        try:
            Settings.llm = llm
            assert Settings.llm is llm
        finally:
            Settings._llm = before
