"""The client of a run: clusters fed, deadlines kept, lost work begun again, claims and ends."""
