"""Kafka: a local broker, topics, and the connector layer."""
