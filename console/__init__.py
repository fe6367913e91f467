"""The terminal console: what an operator sees of the queues and the mail, and cures from the same screen."""
