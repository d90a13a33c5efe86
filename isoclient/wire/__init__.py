"""The wire: what the two ends of the pipe say to each other, without the pipe.

Everything here is pure: no I/O, no clock, no locks. Both processes use the same modules, so both ends can be joined in
memory and tested there.
"""
