"""Token quality by experiment: transfers executed on the chain's own state, and what they show."""
