"""The demonstration: four live domains move while a writer keeps writing, and an independent check looks afterwards."""
