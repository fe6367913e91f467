"""Real processes under random faults, and an independent count of the mails that came out."""
