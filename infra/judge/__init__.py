"""The second judge: what a node of the chain makes of transactions in the next block, by `eth_simulateV1` or, without it, by tracing."""
