"""What each verb takes on the command line and says in its help, one module a purpose; the standard library alone."""
