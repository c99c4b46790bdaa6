"""Structured output: an object of your class, however the model at hand has to be asked for it."""

from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel

from llamaindex_omni import OmniLLM


class Meeting(BaseModel):
    """A meeting."""

    title: str
    date: str
    attendees: int


PROMPT = PromptTemplate("Read the meeting off this note.\n{note}")
NOTE = "title: Router review\ndate: 2026-12-01\nattendees: 4"

llm = OmniLLM(rel_accuracy=0.4, rel_cost=0.6)

print(repr(llm.structured_predict(Meeting, PROMPT, note=NOTE)))

for growing in llm.stream_structured_predict(Meeting, PROMPT, note=NOTE):
    print("so far:", growing.model_dump())

print(llm.as_structured_llm(Meeting).complete(f"Read the meeting off this note.\n{NOTE}").text)

# Prints, in the sandbox:
# Meeting(title='Router review', date='2026-12-01', attendees=4)
# so far: {'title': None, 'date': None, 'attendees': None}
# so far: {'title': 'Router review', 'date': None, 'attendees': None}
# so far: {'title': 'Router review', 'date': '2026-12-01', 'attendees': None}
# so far: {'title': 'Router review', 'date': '2026-12-01', 'attendees': 4}
# {"title":"Router review","date":"2026-12-01","attendees":4}
