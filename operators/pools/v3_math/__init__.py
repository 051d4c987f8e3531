"""The exact integer arithmetic of concentrated liquidity, as in the libraries of Uniswap V3 core 1.0.1 and V4 core 1.0.2."""
