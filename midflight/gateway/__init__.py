"""The application's library: no Temporal, no worker code."""
