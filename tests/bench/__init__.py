"""Benchmarks: each prints a table and returns numbers as JSON. No test fails on a time."""
