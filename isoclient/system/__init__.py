"""The system as it was when the package was imported, and what both processes need of it: descriptors, locks, files."""
