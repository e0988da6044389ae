"""What the backfill does a second, beside the limits of its parts. See README.md here."""
