"""Drivers of the wire: they move bytes between the pipe and the multiplexer, and wait."""
