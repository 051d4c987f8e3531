"""The audit: a sample of the opportunities judged a second time, by a node of the chain, and the alarm on what differs."""
