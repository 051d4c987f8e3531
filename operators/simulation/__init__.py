"""The simulation seam: one engine interface over state that comes as records. It never asks a node for anything."""
