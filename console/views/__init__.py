"""The eight views."""
