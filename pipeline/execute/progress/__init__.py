"""Who is told of a run while it goes on: terminal, logs, metrics, webhooks, budget."""
