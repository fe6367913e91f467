"""Queued work: job names, task functions, the dispatcher and the worker that runs them."""
