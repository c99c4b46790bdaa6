"""Ratings given by run id, as LangSmith's are, teach the router that chose."""

from __future__ import annotations

from uuid import uuid4

import pytest
from langchain_core.prompts import ChatPromptTemplate

from langchain_omni import ChatOmni, OmniFeedbackHandler
from omnilabs.errors import InvalidRequestError
from omnilabs.router import Router
from omnilabs.types import Ability, ModelInfo


@pytest.fixture
def router() -> Router:
    return Router(
        [
            ModelInfo("praised", "openai", ability=Ability(1.2, 0.2)),
            ModelInfo("rival", "openai", ability=Ability(1.0, 0.2)),
        ]
    )


def test_bad_ratings_of_a_chains_runs_change_the_pick(router: Router):
    model = ChatOmni(model="auto", mode="sandbox", router=router, rel_accuracy=1.0, rel_cost=0.0)
    chain = ChatPromptTemplate.from_template("Translate {word} into French.") | model
    ratings = OmniFeedbackHandler(router)
    assert chain.invoke({"word": "bread"}).response_metadata["model_name"] == "praised"
    for _ in range(50):
        run_id = uuid4()
        answer = chain.invoke({"word": "bread"}, config={"callbacks": [ratings], "run_id": run_id})
        ratings.create_feedback(run_id, "correctness", score=answer.response_metadata["model_name"] == "rival")
    assert chain.invoke({"word": "bread"}).response_metadata["model_name"] == "rival"


def test_a_run_nobody_watched_is_refused(router: Router):
    with pytest.raises(InvalidRequestError, match="callbacks"):
        OmniFeedbackHandler(router).create_feedback(uuid4(), score=1.0)


def test_a_score_out_of_range_is_refused(router: Router):
    ratings = OmniFeedbackHandler(router)
    run_id = uuid4()
    model = ChatOmni(model="auto", mode="sandbox", router=router)
    model.invoke("hi", config={"callbacks": [ratings], "run_id": run_id})
    with pytest.raises(InvalidRequestError, match="0 to 1"):
        ratings.create_feedback(run_id, score=5)


def test_only_the_last_runs_are_remembered(router: Router):
    ratings = OmniFeedbackHandler(router, remember=2)
    model = ChatOmni(model="auto", mode="sandbox", router=router)
    runs = [uuid4() for _ in range(3)]
    for run_id in runs:
        model.invoke("hi", config={"callbacks": [ratings], "run_id": run_id})
    ratings.create_feedback(runs[2], score=1.0)
    with pytest.raises(InvalidRequestError):
        ratings.create_feedback(runs[0], score=1.0)
