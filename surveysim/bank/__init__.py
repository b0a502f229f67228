"""A question bank: what a language model has learned from many surveys' questions, and asking it about others."""

from surveysim.bank.bank import QuestionBank, find_bank

__all__ = ["QuestionBank", "find_bank"]
