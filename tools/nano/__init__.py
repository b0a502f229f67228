"""Generator, tokenizer, training and evaluation of the embedded model "nano"; not part of the wheel."""

import os

# Threads that spin while they wait make training many times slower when another process wants a core. Read when
# torch loads, so it is set here, before any module of this package imports it.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "0")
