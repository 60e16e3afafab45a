"""Measure the time and memory that networks need (full tier)."""
