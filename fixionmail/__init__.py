"""FixionMail: one freshly written story a day to each subscriber, mailed exactly once."""

__version__ = "0.1.0"
