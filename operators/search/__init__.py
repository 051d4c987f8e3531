"""Search: every profitable route of 2 and 3 hops through what changed, sized exactly."""
