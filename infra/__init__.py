"""Everything that touches the outside: brokers, nodes, relays, processes. Imports `schemas` only."""
