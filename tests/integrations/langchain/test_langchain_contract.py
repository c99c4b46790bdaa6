"""What the package promises about itself: which names it uses, what an import loads, how long its functions are."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
import typing
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.llms import BaseLLM

import langchain_omni
import omnilabs
import omnilabs.errors
import omnilabs.router
import omnilabs.types
from langchain_omni import ChatOmni, OmniLLM, OmniSelector
from omnilabs._core import ClientOptions
from omnilabs.types import ChatOptions

FILES = sorted(Path(langchain_omni.__file__).parent.glob("*.py"))
PUBLIC = {"omnilabs": omnilabs, **{f"omnilabs.{m}": getattr(omnilabs, m) for m in ("errors", "router", "types")}}


def imports(file: Path) -> list[tuple[str, str]]:
    """Return (module, name) of everything a file imports."""
    found: list[tuple[str, str]] = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found += [(node.module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_only_public_names_of_the_core_are_used(file: Path):
    for module, name in imports(file):
        if module.split(".")[0] == "omnilabs" and name not in ("", "__version__", "errors"):
            assert module in PUBLIC, f"{module} is private"
            assert name in PUBLIC[module].__all__, f"{module}.{name} is private"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_private_module_or_name_of_langchain_is_imported(file: Path):
    for module, name in imports(file):
        if module.split(".")[0] in ("langchain", "langchain_core", "langgraph"):
            assert not any(part.startswith("_") for part in (*module.split("."), name)), f"{module}.{name}"
        assert module.split(".")[0] != "httpx2"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_function_is_longer_than_60_lines(file: Path):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, node.name


def test_every_public_name_loads_and_no_other():
    for name in langchain_omni.__all__:
        assert getattr(langchain_omni, name).__name__ == name
    if find_spec("langchain_core.decisions"):
        assert langchain_omni.OmniDecisionModel.__name__ == "OmniDecisionModel"
    else:
        with pytest.raises(ImportError, match=r"langchain-core 1\.8"):
            langchain_omni.OmniDecisionModel  # noqa: B018  # reading it is what is tested
    with pytest.raises(AttributeError, match="OmniChat"):
        langchain_omni.OmniChat  # noqa: B018  # reading it is what is tested
    assert set(langchain_omni.__all__) <= set(dir(langchain_omni))
    assert langchain_omni.__all__ == sorted(langchain_omni.__all__)


def test_every_name_can_be_imported_at_once():
    names: dict[str, object] = {}
    exec("from langchain_omni import *", names)
    assert set(langchain_omni.__all__) <= names.keys()


@pytest.mark.parametrize("name", langchain_omni.__all__)
def test_annotations_of_public_methods_can_be_read_at_run_time(name: str):
    """LangChain's fallbacks do, to see whether `bind_tools` and its like return a Runnable."""
    public = getattr(langchain_omni, name)
    own = [cls for cls in getattr(public, "__mro__", ()) if cls.__module__.startswith("langchain_omni")]
    methods = [value for cls in own for key, value in vars(cls).items() if not key.startswith("_") and callable(value)]
    for method in methods if own else [public]:
        assert typing.get_type_hints(method) is not None


def _loaded(code: str) -> list[str]:
    probe = f"{code}; import sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True)
    loaded: list[str] = json.loads(done.stdout)
    return loaded


def test_importing_a_model_loads_no_agent_and_no_other_framework():
    loaded = _loaded("from langchain_omni import ChatOmni")
    tops = {name.split(".")[0] for name in loaded}
    assert not tops & {"langchain", "langgraph", "llama_index", "llamaindex_omni", "openai", "anthropic", "numpy"}
    assert not [name for name in _loaded("import langchain_omni") if name.startswith(("langchain_core", "omnilabs"))]


def test_every_setting_of_the_client_is_a_field_of_the_same_name():
    settings = {*inspect.signature(omnilabs.OmniClient).parameters, *ClientOptions.__annotations__}
    assert settings - {"transport", "options"} <= set(ChatOmni.model_fields)
    assert settings - {"transport", "options"} <= set(OmniSelector.model_fields)


def test_every_setting_of_a_call_is_taken_by_the_model_or_with_its_call():
    """Those that are no fields belong to a call: its tools, its form, its budget."""
    per_call = {"tools", "tool_choice", "parallel_tool_calls", "response_format"}
    assert set(ChatOptions.__annotations__) - per_call <= set(ChatOmni.model_fields)


# ---- what of langchain-core is no public promise, and what happens when it changes


def test_core_still_has_the_hooks_that_are_overridden():
    for cls, hooks in {
        BaseChatModel: ("_get_ls_params", "_combine_llm_outputs", "_resolve_model_profile", "_convert_input"),
        BaseLLM: ("_identifying_params",),
    }.items():
        for hook in (*hooks, "_identifying_params", "_llm_type", "_add_version", "_generate", "_astream"):
            assert hasattr(cls, hook), f"{cls.__name__}.{hook}"


def test_core_still_caches_what_it_stores_under_the_name_that_is_forgotten():
    model = ChatOmni(mode="sandbox")
    before = model._serialized
    assert "_serialized" in vars(model)
    model.rel_cost = 0.9
    assert model._serialized != before


def test_core_still_reads_the_served_model_where_it_is_put():
    gateway = import_module("langchain_core.utils._gateway")
    assert gateway.GATEWAY_METADATA_RESPONSE_KEY == "lc_gateway_metadata"


def test_langchain_still_keeps_its_providers_in_a_table_of_triples():
    table: Any = import_module("langchain.chat_models.base")._BUILTIN_PROVIDERS
    package, name, make = table["openai"]
    assert (package, name) == ("langchain_openai", "ChatOpenAI")
    assert callable(make)


def test_traces_name_the_version_of_this_package():
    for cls in (ChatOmni, OmniLLM):
        versions = (cls().metadata or {})["lc_versions"]
        assert versions["omnirouter"] == omnilabs.__version__
        assert "langchain-core" in versions
