"""Texts that a language model reads."""
