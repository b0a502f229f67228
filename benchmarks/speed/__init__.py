"""How fast a fit is and what memory it needs, on a CPU or a GPU: ``python -m benchmarks.speed``."""
