"""One benchmark per file: a docstring, and `run(settings) -> Result`."""
