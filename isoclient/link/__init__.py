"""The link: what both processes have in common beside the wire: what crosses in which shape, and the system as it was.

Both processes use the same modules.
"""
