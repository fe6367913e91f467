"""The values that travel between the parts of FixionMail. Frozen, keyword-only, built in one place each."""
