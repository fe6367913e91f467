"""Mail: what a story looks like in an inbox, and how it gets there once."""
