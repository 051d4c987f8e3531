"""What the project runs on: how it is installed under `.sluice/`, and where each tool is found."""
