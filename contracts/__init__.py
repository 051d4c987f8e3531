"""The executor: Solidity, Foundry tests, the compiled artifact with its reproducible build, and the encoder of its calldata."""
