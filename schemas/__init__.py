"""What crosses a border: one file per topic, the wire codec, the topic table, the configuration file.

Imports nothing of ours. A record is defined once, as a typed structure (`schemas.record`); the compact codec of the
hot path and the readable, validated form at the borders (`schemas.border`) are both derived from that definition.
"""
