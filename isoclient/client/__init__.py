"""The client: what a test holds in its hands. A :mod:`requests` session, its adapter, and the WebSocket session."""
