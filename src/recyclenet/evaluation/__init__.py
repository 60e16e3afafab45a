"""Evaluation: metrics of a prediction table, and HTML reports."""
