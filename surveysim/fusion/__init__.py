"""What `FusedRegressor` is made of: elicited covariates, shared slopes, and the joint optimum of all questions."""
