"""The link: what goes over the pipe between the test's process and the app's, and how it looks there.

Everything here is pure: bytes in, frames out, no I/O and no clock. Both processes use the same modules.
"""
