"""Respondent curves: what a sample of each size is worth, as it is run, stored, summed up and read."""
