"""What a run leaves: claims, plan, journal, outcomes, recipes, and what is learned from them."""
