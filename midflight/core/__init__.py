"""What is decided: values in, values out; no clock, no randomness, no environment, no I/O."""
