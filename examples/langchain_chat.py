"""A named model: invoke, stream, and what the answer tells about itself."""

from langchain_omni import ChatOmni

model = ChatOmni(model="gpt-4o-mini", temperature=0)

answer = model.invoke([("system", "Answer in one sentence."), ("human", "Why is the sea salty?")])
print(answer.text)
print(answer.response_metadata["model_name"], answer.response_metadata["cost"], answer.usage_metadata)

for chunk in model.stream("Count to three."):
    print(chunk.text, end="|")
print()

# Prints, in the sandbox:
# [sandbox] This answer is made up by the OmniRouter sandbox; no model was asked.
# You asked: Why is the sea salty?
# gpt-4o-mini 2.025e-05 {'input_tokens': 23, 'output_tokens': 28, 'total_tokens': 51}
# [sandbox]| This| answer| is| made| up| by| the| OmniRouter| sandbox;| no| model| was| asked.|
# You| asked:| Count| to| three.||
