"""LlamaIndex models over `omnilabs`."""
