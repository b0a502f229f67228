"""What a model must beat: the marginal, the cells themselves, and the order-aware logit."""
