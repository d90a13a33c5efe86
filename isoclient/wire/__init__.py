"""The wire: what the two ends of the pipe say to each other, without the pipe.

Everything here is pure: no I/O, no clock, no locks. Bytes go in and events come out; what is to be said is put into an
outbox, and what is done with that is up to whoever drives it. Both processes use the same modules, so both ends can be
joined in memory and tested there.

Imports run one way: protocol <- frames <- mux.
"""
