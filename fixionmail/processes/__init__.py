"""Processes of FixionMail on this machine: what can run, and what does."""
