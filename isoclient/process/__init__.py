"""The test's side of the app's process (or thread): it starts, watches, stops and explains it.

It knows nothing of HTTP.
"""
