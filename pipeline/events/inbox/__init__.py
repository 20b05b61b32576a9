"""Where events wait, durably: in a SQLite file or in PostgreSQL, by the same statements."""
