"""The pending overlay: a pending transaction simulated from its witness gives hypothetical pool states."""
