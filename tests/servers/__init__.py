"""Real servers on loopback for tests: started when first asked for, ended with the session."""
