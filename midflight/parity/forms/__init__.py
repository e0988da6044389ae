"""What documents and rows say: as fields with normal values, and as images; written apart from the mapping."""
