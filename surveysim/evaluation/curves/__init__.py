"""Respondent curves, which say what a sample of each size is worth: run, stored, summarised and read."""
