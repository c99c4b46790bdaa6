"""What the sandbox answers in text: the sentences of the context that fit the question."""

from __future__ import annotations

import pytest
from unit.sandbox_kit import (
    CONTEXT_FIRST,
    LANGCHAIN,
    LLAMAINDEX,
    PASSAGES,
    TAGGED,
    asked,
    said,
)

from omnilabs._sandbox import MARK


@pytest.mark.parametrize("prompt", [LLAMAINDEX, LANGCHAIN, CONTEXT_FIRST, TAGGED])
@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How do I limit the seconds of a call?", "Pass `timeout_s=30` to limit a call in seconds."),
        ("What does a router weigh?", "It weighs accuracy, cost and latency."),
        ("What does a streaming call return?", "With `stream=True` a call returns an iterator of chunks."),
    ],
)
def test_a_question_is_answered_with_the_sentence_of_the_context_that_fits_best(
    prompt: str, question: str, answer: str
) -> None:
    assert answer in said(asked(prompt.format(question=question)))
    assert len(said(asked(prompt.format(question=question)))) < 200


def test_a_context_in_the_system_message_answers_the_users_question() -> None:
    body = asked("What does the time limit cover?", system=f"Use the following context to answer.\n\n{PASSAGES}")

    assert "The limit covers retries too." in said(body)


def test_sentences_that_answer_together_keep_their_order() -> None:
    body = asked(f"Context:\n{PASSAGES}\n\nQuestion: What do chunks and accuracy have in common?")

    answer = said(body)

    assert answer.index("accuracy") < answer.index("chunks")


def test_a_question_that_the_context_does_not_answer_is_told_so() -> None:
    answer = said(asked(LLAMAINDEX.format(question="Who is the president of Mars?")))

    assert answer == "The context given does not answer: Who is the president of Mars?"


def test_an_order_to_sum_up_gets_the_beginning_of_the_passage() -> None:
    assert said(asked(f"Summarize the following:\n\n{PASSAGES}")).startswith(
        "A router picks the model for each prompt."
    )


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("上下文：北京是中国的首都。上海是最大的城市。\n问题：中国的首都是哪里？", "北京是中国的首都。"),
        ("Berlin ist die Hauptstadt. München liegt in Bayern. Wo liegt München?", "München liegt in Bayern."),
        ("Москва стоит на реке. Казань стоит на Волге. Где стоит Казань?", "Казань стоит на Волге."),
    ],
)
def test_other_languages_are_matched_too(text: str, answer: str) -> None:
    assert said(asked(text)) == answer


def test_what_was_told_earlier_can_be_asked_for() -> None:
    messages = [
        {"role": "user", "content": "Hi, my name is Bob."},
        {"role": "assistant", "content": f"{MARK}\nYou asked: Hi, my name is Bob."},
        {"role": "user", "content": "What is my name?"},
    ]

    assert said({"model": "m", "messages": messages}) == "Hi, my name is Bob."


def test_media_are_acknowledged() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    file = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}}
    content = [{"type": "text", "text": "Compare these."}, image, image, file]

    assert said({"model": "m", "messages": [{"role": "user", "content": content}]}).startswith(
        "You sent 1 file, 2 images."
    )
