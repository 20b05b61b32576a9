"""What was missed while nobody listened, found by listing."""
