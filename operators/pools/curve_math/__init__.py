"""Arithmetic of Curve's pools with the contracts' own loops and roundings: stableswap, its ramps, and crypto pools."""
