"""A local chain with real contracts, traffic and a dev builder; and recorded mainnet blocks on a node of their own."""
