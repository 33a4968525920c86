"""Where messages and state are kept: the durable store, one in memory, and the interface of both."""
