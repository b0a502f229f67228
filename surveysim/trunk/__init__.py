"""A model cut in two: frozen blocks, whose output is computed once, and the last blocks, which are trained."""
