"""Weights, tokenizer, configuration and card of the embedded model "nano"; see README.md in this folder."""
