"""Screens: the main one with its views, and what opens above it."""
