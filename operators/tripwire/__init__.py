"""The tripwire: the log's pools compared with the chain, a rotating sample a block, every difference told apart."""
