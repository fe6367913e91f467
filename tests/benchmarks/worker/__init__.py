"""The worker beside its peers, in one run: ``python -m tests.benchmarks.worker``."""
