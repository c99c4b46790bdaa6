"""The catalogue: its prices against genai-prices as an oracle, its names, and what it says of its sources."""

import hashlib
import json
import re
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.metadata import version
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest
from genai_prices import Usage as OracleUsage
from genai_prices import calc_price
from hypothesis import given, settings
from hypothesis import strategies as st

from omnilabs._usage import priced
from omnilabs.errors import InvalidRequestError
from omnilabs.providers import PROVIDERS
from omnilabs.router._catalog import _LONGEST_NAME, Catalog
from omnilabs.types import ModelInfo, Price, Usage, cost_usd

ROOT = Path(__file__).resolve().parents[2]
TEXT = files("omnilabs.router").joinpath("catalog.json").read_text(encoding="utf-8")
RAW = json.loads(TEXT)
DAY = date.fromisoformat(RAW["version"])
CATALOG = Catalog.load(DAY)
PRICED = [model for model in CATALOG.models if model.price is not None]

ORACLE_PROVIDER = {"gemini": "google", "xai": "x-ai"}

USAGES = {
    "short": Usage(1_234, 567),
    "nothing": Usage(0, 0),
    "cache_read": Usage(100, 50, cache_read_tokens=9_000),
    "cache_write": Usage(10, 20, cache_write_tokens=3_000),
    "cache_write_1h": Usage(10, 20, cache_write_1h_tokens=3_000, cache_write_tokens=7),
    "sound_in": Usage(10, 20, input_audio_tokens=4_000),
    "reasoning": Usage(300, 12_000, reasoning_tokens=11_000),
    "just_below_100k": Usage(100_000, 1_000),
    "just_above_100k": Usage(100_001, 1_000),
    "long_of_all_kinds": Usage(
        150_001, 8_000, cache_read_tokens=60_000, cache_write_tokens=5_000, cache_write_1h_tokens=3_000
    ),
    "just_above_272k": Usage(1, 9_999, cache_read_tokens=272_000),
    "million": Usage(999_999, 65_536, cache_read_tokens=1),
}


def oracle_usd(model: ModelInfo, usage: Usage, at: datetime) -> Decimal:
    """Return what genai-prices calculates for the same tokens: its counts are totals, ours are disjoint buckets."""
    writes = usage.cache_write_tokens + usage.cache_write_1h_tokens
    tokens = OracleUsage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=writes,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        input_audio_tokens=usage.input_audio_tokens,
        cache_audio_read_tokens=0,
        output_audio_tokens=usage.output_audio_tokens,
    )
    provider = ORACLE_PROVIDER.get(model.provider, model.provider)
    return calc_price(tokens, model.name, provider_id=provider, genai_request_timestamp=at).total_price


def found(written: str, catalog: Catalog = CATALOG) -> ModelInfo:
    model = catalog.find(written)
    assert model is not None
    return model


def price_of(model: ModelInfo) -> Price:
    assert model.price is not None
    return model.price


def ours_usd(model: ModelInfo, usage: Usage) -> Decimal:
    cost = cost_usd(usage, price_of(model))
    assert cost is not None
    return cost


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def test_catalogue_was_made_from_the_installed_genai_prices():
    assert RAW["prices"]["source"] == f"genai-prices {version('genai-prices')}", "run scripts/build_catalog.py"


@pytest.mark.parametrize("usage", USAGES.values(), ids=USAGES)
def test_every_price_costs_what_genai_prices_calculates(usage: Usage):
    wrong = {
        model.id: (ours, theirs)
        for model in PRICED
        if abs((ours := ours_usd(model, usage)) - (theirs := oracle_usd(model, usage, noon(DAY)))) > Decimal("1e-9")
    }
    assert len(PRICED) > 150
    assert wrong == {}


TOKENS = st.integers(0, 1_200_000)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(PRICED), TOKENS, TOKENS, TOKENS, TOKENS, TOKENS, TOKENS)
def test_any_usage_costs_what_genai_prices_calculates(
    model: ModelInfo, fresh: int, output: int, read: int, write: int, write_1h: int, audio: int
):
    usage = Usage(
        fresh,
        output,
        cache_read_tokens=read,
        cache_write_tokens=write,
        cache_write_1h_tokens=write_1h,
        input_audio_tokens=audio,
    )
    assert abs(ours_usd(model, usage) - oracle_usd(model, usage, noon(DAY))) <= Decimal("1e-9")


def test_announced_price_changes_come_into_force_on_their_day():
    changes = [(entry["id"], date.fromisoformat(row[0])) for entry in RAW["models"] for row in entry.get("later", ())]
    assert changes
    for model_id, day in changes:
        before, after = found(model_id), found(model_id, Catalog.load(day))
        assert before.price != after.price
        assert price_of(before).date == RAW["version"]
        assert price_of(after).date == day.isoformat()
        for usage in USAGES.values():
            assert abs(ours_usd(after, usage) - oracle_usd(after, usage, noon(day))) <= Decimal("1e-9")


def test_an_unknown_price_is_absent_and_never_zero():
    prices = [price_of(model) for model in PRICED]
    assert all(price.input_per_mtok_usd > 0 and price.output_per_mtok_usd > 0 for price in prices)
    unpriced = found("gemini-exp-1206")
    assert unpriced.price is None
    assert priced(Usage(10, 10), unpriced.price).cost_usd is None


def test_at_least_60_current_chat_models_of_10_providers():
    current = [model for model in CATALOG.models if model.kind == "chat" and not model.retired]
    assert len(current) >= 60
    assert len({model.provider for model in current}) >= 10
    assert all(model.price is not None for model in current)


# id in the documentation, provider, the provider's own name, whether it has withdrawn it (or says when)
DOCUMENTED = [
    ("gpt-4", "openai", "gpt-4", True),
    ("gpt-3.5-turbo", "openai", "gpt-3.5-turbo", True),
    ("gpt-4o-mini", "openai", "gpt-4o-mini", True),
    ("gpt-4o", "openai", "gpt-4o", True),
    ("claude-3-opus", "anthropic", "claude-3-opus-20240229", True),
    ("claude-3-5-sonnet", "anthropic", "claude-3-5-sonnet-20241022", True),
    ("deepseek-v3", "deepseek", "deepseek-chat", True),
    ("deepseek-r1", "deepseek", "deepseek-reasoner", True),
    ("gemini-2.0-flash", "gemini", "gemini-2.0-flash", True),
    ("gemini-2.0-pro-exp-02-05", "gemini", "gemini-2.0-pro-exp-02-05", True),
    ("gemini-2.0-flash-thinking-exp-01-21", "gemini", "gemini-2.0-flash-thinking-exp-01-21", True),
    ("gemini-exp-1206", "gemini", "gemini-exp-1206", True),
    (
        "meta-llama/Meta-Llama-3.3-70B-Instruct-Turbo",
        "together",
        "meta-llama/Llama-3.3-70B-Instruct-Turbo",
        False,
    ),
    (
        "meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo",
        "together",
        "meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo",
        True,
    ),
    ("Qwen/Qwen2-VL-72B-Instruct", "together", "Qwen/Qwen2-VL-72B-Instruct", True),
    ("mistralai/Mistral-7B-Instruct-v0.2", "together", "mistralai/Mistral-7B-Instruct-v0.2", True),
    ("microsoft/WizardLM-2-8x22B", "together", "microsoft/WizardLM-2-8x22B", True),
    ("dall-e-3", "openai", "dall-e-3", True),
    ("dall-e-2", "openai", "dall-e-2", True),
    ("stable-diffusion-3.5-large", "stability", "stable-diffusion-3.5-large", False),
    ("stable-diffusion-3.5-turbo", "stability", "stable-diffusion-3.5-turbo", False),
    ("black-forest-labs/FLUX.1-schnell-Free", "together", "black-forest-labs/FLUX.1-schnell-Free", True),
]

IMAGES = {
    "dall-e-3",
    "dall-e-2",
    "stable-diffusion-3.5-large",
    "stable-diffusion-3.5-turbo",
    "black-forest-labs/FLUX.1-schnell-Free",
}

NO_SOURCE_KNOWS_THE_PRICE = {
    "gemini-2.0-pro-exp-02-05": "experimental, never had one",
    "gemini-exp-1206": "experimental, never had one",
    "Qwen/Qwen2-VL-72B-Instruct": "gone from Together before genai-prices listed it",
    "dall-e-3": "by the picture, and genai-prices keeps prices of tokens",
    "dall-e-2": "by the picture, and genai-prices keeps prices of tokens",
    "stable-diffusion-3.5-large": "by the picture, and genai-prices keeps prices of tokens",
    "stable-diffusion-3.5-turbo": "by the picture, and genai-prices keeps prices of tokens",
    "black-forest-labs/FLUX.1-schnell-Free": "by the picture, and genai-prices keeps prices of tokens",
}


@pytest.mark.parametrize(("model_id", "provider", "name", "retired"), DOCUMENTED, ids=[row[0] for row in DOCUMENTED])
def test_documented_model_resolves_with_its_full_name_price_and_state(
    model_id: str, provider: str, name: str, retired: bool
):
    model = found(model_id)
    assert (model.id, model.provider, model.name, model.retired) == (model_id, provider, name, retired)
    assert model.kind == ("image" if model_id in IMAGES else "chat")
    assert (model.price is None) == (model_id in NO_SOURCE_KNOWS_THE_PRICE)
    assert CATALOG.find(name) is CATALOG.find(f"{provider}/{name}") is model
    assert not retired or re.search("withdrawn on|retired by its provider", model.description)


def test_documented_scores_are_kept():
    assert found("gpt-4").benchmarks == {
        "MMLU": 0.864,
        "GPQA": 0.414,
        "HumanEval": 0.866,
        "MATH": 0.529,
        "BFCL": 0.883,
        "MGSM": 0.86,
    }
    assert found("claude-3-5-sonnet")["benchmarks"]["HumanEval"] == 0.920


def test_every_figure_tells_its_source_and_date():
    for model in CATALOG.models:
        for figure in (model.price, model.ability, model.speed):
            if figure is not None:
                assert figure.source != "user"
                assert figure.date is not None
                assert re.fullmatch(r"\d{4}-\d\d-\d\d", figure.date)
    assert all("facts" in entry for entry in RAW["models"] if entry.get("kind", "chat") == "chat")
    for source in CATALOG.sources:
        assert source.keys() == {"name", "url", "date", "licence", "taken"}
        assert source["name"] in CATALOG.attribution


def test_abilities_are_a_derived_table():
    abilities = [model.ability for model in CATALOG.models if model.ability is not None]
    assert len(abilities) > 140
    types = {"code", "math", "math_formal", "knowledge", "law_med_hum", "puzzle", "extract", "chat", "agent"}
    for ability in abilities:
        assert ability.by_type.keys() == types
        assert all(round(figure, 2) == figure for figure in (ability.overall, ability.se, *ability.by_type.values()))
        assert ability.se > 0
    assert any(not ability.cells and ability.se > 0.7 for ability in abilities)  # never measured: kept, and wide


def test_ability_is_that_of_the_mode_a_plain_call_runs_in():
    modes = {model.id: model.ability.mode for model in CATALOG.models if model.ability is not None}
    assert modes["gpt-5.5"] == modes["o3"] == modes["gemini-2.5-pro"] == modes["claude-opus-5"] == "r"
    assert modes["gpt-5.4"] == modes["claude-sonnet-4-6"] == modes["mistral-small-2603"] == modes["gpt-4o"] == "n"


def test_capabilities_tell_what_a_route_refuses():
    assert not found("gpt-5.5").capabilities.temperature
    assert found("gpt-4o").capabilities.temperature
    assert not found("gpt-6-astra").capabilities.tools  # only the Responses route gives it any
    assert found("gpt-5.6-sol").capabilities.tools_effort == "none"
    assert not found("claude-opus-5-5").capabilities.forced_tools
    assert found("gemini-3.8-flash").capabilities.audio


def test_every_provider_is_a_row_but_the_one_only_the_hosted_service_reaches():
    assert {model.provider for model in CATALOG.models} - PROVIDERS.keys() == {"stability"}


def test_every_name_leads_to_its_own_model():
    for model in CATALOG.models:
        for name in (model.id, *model.aliases):
            for written in (name, f"{model.provider}/{name}", f"{model.provider}:{name}"):
                assert CATALOG.find(written) is model
        assert CATALOG.find(f"{model.provider}/{model.name}") is model


def test_a_maker_owns_its_models_name_and_resellers_are_named_with_it():
    assert found("openai/gpt-6-astra").provider == "openai"
    assert found("openrouter/openai/gpt-6-astra").provider == "openrouter"
    assert CATALOG.find("openai/gpt-oss-120b") is None  # two resell it, its maker does not serve it
    assert found("groq/openai/gpt-oss-120b").provider == "groq"


def test_case_is_forgiven_where_it_distinguishes_nothing():
    assert found("GPT-4o").id == "gpt-4o"
    assert found("meta-llama/llama-3.3-70b-instruct-turbo").provider == "together"
    assert CATALOG.find("no-such-model") is None


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("gpt5-mini", "gpt-5-mini"),
        ("claude-sonet-4-6", "claude-sonnet-4-6"),
        ("gemini-3.1-pro-prewiev", "gemini-3.1-pro-preview"),
    ],
)
def test_nearest_names_what_was_meant(written: str, meant: str):
    assert CATALOG.nearest(written)[0] == meant
    assert len(CATALOG.nearest(written, n=2)) <= 2


def test_of_a_megabyte_only_the_length_of_a_name_is_compared():
    assert CATALOG.nearest("\N{PILE OF POO}" * 1_000_000) == ()
    name = max((model.id for model in CATALOG.models), key=len).ljust(_LONGEST_NAME, "~")
    assert CATALOG.nearest(name + "z" * 1_000_000) == CATALOG.nearest(name) != ()


def test_users_own_models_make_a_catalogue():
    mine = Catalog.of([ModelInfo("llama3.2", "local", aliases=("small",)), ModelInfo("b", "other", name="llama3.2")])
    assert mine.version == "user"
    assert found("local/llama3.2", mine).id == found("SMALL", mine).id == "llama3.2"
    assert found("other/llama3.2", mine).id == "b"
    assert mine.attribution == ""


@pytest.mark.parametrize(
    ("models", "name"),
    [
        ([ModelInfo("a", "x"), ModelInfo("a", "y")], "a"),
        ([ModelInfo("a", "x"), ModelInfo("b", "y", aliases=("a",))], "a"),
        ([ModelInfo("a", "x", aliases=("c",)), ModelInfo("b", "y", aliases=("c",))], "c"),
    ],
)
def test_two_models_of_one_name_are_refused(models: list[ModelInfo], name: str):
    with pytest.raises(InvalidRequestError, match=f"two models are called '{name}'") as caught:
        Catalog.of(models)
    assert caught.value.parameter == "models"


def test_loading_happens_once_a_day():
    assert Catalog.load(DAY) is Catalog.load(DAY)


def test_importing_reads_no_catalogue():
    code = """
import sys
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
from omnilabs.router._catalog import Catalog
assert not [name for name in opened if name.endswith("catalog.json")]
Catalog.load()
assert [name for name in opened if name.endswith("catalog.json")]
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_file_is_sorted_and_carries_the_checksum_of_its_own_text():
    body = TEXT.split("\n", 2)[2].removesuffix("\n}\n")
    assert hashlib.sha256(body.encode()).hexdigest() == RAW["checksum"]
    keys = [(entry["provider"], entry["id"]) for entry in RAW["models"]]
    assert all(one < other for one, other in pairwise(keys))
    assert len(TEXT) < 150_000


def test_the_script_makes_the_committed_file_from_its_sources():
    scores = ROOT.parent / "shared" / "scores"
    command = [sys.executable, "scripts/build_catalog.py", "--check", "--scores", str(scores)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if scores.exists():
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
    else:  # without them it must say so, and not make a catalogue without abilities
        assert done.returncode == 2
        assert "no score tables" in done.stderr
