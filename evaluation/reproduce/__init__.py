"""The papers' tables: every dataset and level that they report, by their rules."""
