"""Right for inputs nobody thought of."""
