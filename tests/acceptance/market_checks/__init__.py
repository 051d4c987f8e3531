"""The checks of the suite `market`."""
