"""LangChain models over `omnilabs`."""
