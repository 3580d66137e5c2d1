"""Servers under load, and what they do when parts of them die."""
