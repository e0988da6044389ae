"""Will running moves survive this release? Recorded histories, replayed on every run."""
