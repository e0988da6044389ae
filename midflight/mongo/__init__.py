"""The source: MongoDB, behind the ports `SourceReader`, `ChangeFeed`, `SourceFence`. Start at `client.open_source`."""
