"""Explain an answer: which regions of an image support it."""
