"""The house keeps its shape: what each module exports, who imports whom, and both clients alike."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import pkgutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import langchain_omni
import llamaindex_omni
import omnilabs
from omnilabs import AsyncOmniClient, OmniClient

ROOT = Path(__file__).parent.parent
# Decision models came with langchain-core 1.8; older ones get an error that says so.
HAS_DECISIONS = importlib.util.find_spec("langchain_core.decisions") is not None
PUBLIC = [
    "omnilabs",
    "omnilabs.types",
    "omnilabs.errors",
    "omnilabs.testing",
    "omnilabs.router",
    "omnilabs.providers",
    "omnilabs.evaluate",
    "langchain_omni",
    "llamaindex_omni",
]

# Who may import whom: a module imports only from its own layer and the layers before it.
LAYERS: list[set[str]] = [
    {"_frozen", "_record", "_secret", "errors"},
    {"_messages", "_models", "_usage", "_decision", "_response", "_request", "_tokens", "_observer"},
    {"_http", "_sse", "_accumulate", "_retry"},
    {"providers"},
    {"router", "_breaker", "_spend", "_learner"},
    {"_call", "_stream", "_outcome", "_flow", "_telemetry"},
    {"_transport", "_patience", "_failures", "_sandbox", "_drive"},
    {"_config", "_allowance", "_core"},
    {"_base_client", "_client", "_async_client", "_pair"},
    {"types", "testing", "evaluate", "__init__"},
]


def layer_of(module: str) -> int:
    parts = module.split(".")
    name = parts[1] if len(parts) > 1 else "__init__"
    return next(index for index, names in enumerate(LAYERS) if name in names)


def imports_of(path: Path, *, lazily_too: bool) -> set[str]:
    """Return the modules a file imports, without those for type checkers only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    nodes = ast.walk(tree) if lazily_too else iter(tree.body)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def modules_of(package: str) -> dict[str, Path]:
    base = ROOT / package
    return {
        ".".join([package, *path.relative_to(base).with_suffix("").parts]).removesuffix(".__init__"): path
        for path in base.rglob("*.py")
    }


@pytest.mark.parametrize("name", PUBLIC)
def test_all_is_sorted_and_says_what_is_there(name: str):
    module = importlib.import_module(name)
    exported = list(module.__all__)
    # As the linter sorts: constants, classes, functions.
    assert exported == sorted(exported, key=lambda item: (not item.isupper(), not item[0].isupper(), item))
    for public in exported:
        assert getattr(module, public) is not None


@pytest.mark.parametrize("name", ["omnilabs", "omnilabs.types", "omnilabs.errors", "omnilabs.providers"])
def test_nothing_public_is_left_out_of_all(name: str):
    module = importlib.import_module(name)
    own = {
        key
        for key, value in vars(module).items()
        if not key.startswith("_")
        and not inspect.ismodule(value)
        and getattr(value, "__module__", "").startswith("omni")
    }
    assert own <= set(module.__all__) | {"annotations"}


@pytest.mark.parametrize(("module", "path"), sorted(modules_of("omnilabs").items()))
def test_imports_go_one_way(module: str, path: Path):
    for imported in imports_of(path, lazily_too=False):
        if imported.startswith("omnilabs."):
            name = ".".join(imported.split(".")[:2])
            if layer_exists(name):
                assert layer_of(name) <= layer_of(module), f"{module} imports {imported}"


def layer_exists(module: str) -> bool:
    return any(module.split(".")[1] in names for names in LAYERS)


def test_every_module_has_its_layer():
    for module in modules_of("omnilabs"):
        layer_of(module)


@pytest.mark.parametrize(("module", "path"), sorted(modules_of("omnilabs").items()))
def test_only_the_transport_knows_the_http_library(module: str, path: Path):
    http = {"httpx2", "httpcore2", "httpx"} & {name.split(".")[0] for name in imports_of(path, lazily_too=True)}
    assert not http or module in ("omnilabs._transport", "omnilabs._patience", "omnilabs._failures")


@pytest.mark.parametrize("package", ["langchain_omni", "llamaindex_omni"])
def test_integrations_import_only_public_names(package: str):
    for module, path in modules_of(package).items():
        for imported in imports_of(path, lazily_too=True):
            if imported.startswith("omnilabs"):
                private = [part for part in imported.split(".") if part.startswith("_") and part != "__version__"]
                assert not private, f"{module} imports {imported}"


def test_the_environment_is_read_in_one_place():
    for module, path in modules_of("omnilabs").items():
        source = path.read_text(encoding="utf-8")
        reads = "os.environ" in source or "getenv" in source
        assert not reads or module in ("omnilabs._base_client", "omnilabs._config"), module


def test_both_clients_have_the_same_methods_and_arguments():
    def methods(cls: type) -> dict[str, inspect.Signature]:
        return {
            name: inspect.signature(value)
            for name, value in vars(cls).items()
            if inspect.isfunction(value) and not name.startswith("_") and name not in ("close", "aclose")
        }

    blocking, asynchronous = methods(OmniClient), methods(AsyncOmniClient)
    assert blocking.keys() == asynchronous.keys()
    for name in blocking:
        assert list(blocking[name].parameters.values()) == list(asynchronous[name].parameters.values()), name
    ours, theirs = inspect.signature(OmniClient.__init__), inspect.signature(AsyncOmniClient.__init__)
    assert ours.parameters.keys() == theirs.parameters.keys()


def test_the_documented_calls_keep_names_order_and_defaults():
    def positional(method: object) -> list[tuple[str, object]]:
        parameters = list(inspect.signature(method).parameters.values())[1:]  # type: ignore[arg-type]
        return [(p.name, p.default) for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]

    empty = inspect.Parameter.empty
    assert positional(OmniClient.chat) == [
        ("messages", empty),
        ("model", empty),
        ("temperature", 0.7),
        ("max_tokens", None),
        ("stream", False),
    ]
    assert positional(OmniClient.smart_select) == [
        ("messages", empty),
        ("k", 5),
        ("model_names", None),
        ("rel_cost", 0.5),
        ("rel_latency", 0.0),
        ("rel_accuracy", 0.5),
        ("verbose", False),
    ]
    assert positional(OmniClient.get_available_models) == [("model_type", None)]
    assert positional(OmniClient.generate_image) == [
        ("prompt", empty),
        ("model", "dall-e-3"),
        ("size", "1024x1024"),
        ("quality", "standard"),
        ("n", 1),
    ]
    assert positional(OmniClient.__init__) == [("api_key", None), ("base_url", None)]


def fresh(code: str) -> str:
    """Run code in a new interpreter without any key; return what it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={}, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_core_loads_no_framework_no_sdk_and_no_numpy():
    heavy = "langchain_core llama_index openai anthropic google pydantic numpy httpx2 opentelemetry".split()
    loaded = fresh("import sys, omnilabs; print(*{name.split('.')[0] for name in sys.modules})").split()
    assert not set(heavy) & set(loaded)


def test_import_and_construction_open_no_socket():
    code = """
import socket
class Refused(socket.socket):
    def __init__(self, *args, **kwargs): raise AssertionError("a socket was opened")
import omnilabs, omnilabs.router
from omnilabs._transport import HttpTransport
socket.socket = Refused
omnilabs.OmniClient(mode="sandbox"); omnilabs.AsyncOmniClient(mode="sandbox")
omnilabs.OmniClient(api_key="k"); omnilabs.AsyncOmniClient(providers={"openai": {"api_key": "k"}})
print("none")
"""
    assert fresh(code).strip() == "none"


def test_the_wheel_holds_only_the_packages(tmp_path: Path):
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)],
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {
        "omnilabs",
        "langchain_omni",
        "llamaindex_omni",
    }
    assert not [name for name in names if name.endswith((".pth", ".so", ".pyd", ".pkl", ".pickle"))]
    for package in ("omnilabs", "langchain_omni", "llamaindex_omni"):
        assert f"{package}/py.typed" in names
    assert "omnilabs/router/catalog.json" in names


def test_versions_agree():
    metadata = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{omnilabs.__version__}"' in metadata


@pytest.mark.parametrize("package", [omnilabs, langchain_omni, llamaindex_omni])
def test_every_module_imports(package: object):
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):  # type: ignore[attr-defined]
        if info.name != "langchain_omni.decisions" or HAS_DECISIONS:
            importlib.import_module(info.name)
