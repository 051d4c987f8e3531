"""Arithmetic of Balancer V2 with the contracts' own rounding: fixed point, logarithms, weighted and stable invariants."""
