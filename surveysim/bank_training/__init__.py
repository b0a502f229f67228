"""Training a question bank on many surveys' questions, of which some are held out."""

from surveysim.bank_training.train import train_bank

__all__ = ["train_bank"]
