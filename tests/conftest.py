"""What tests of every folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.kafka.broker import LocalBroker
from infra.runtime import compiled_code

# Before any module of the search is imported.
compiled_code.keep_in_project()


@pytest.fixture(scope="session")
def broker() -> Iterator[LocalBroker]:
    """One real Kafka broker for the whole session. Tests use topics of their own; those that stop it must start it again."""
    with LocalBroker() as running:
        yield running
