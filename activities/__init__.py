"""What touches the stores, through ports."""
