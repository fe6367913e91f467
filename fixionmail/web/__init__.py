"""The web service: status and metrics for machines, webhooks of the mail provider, unsubscribing for readers."""
