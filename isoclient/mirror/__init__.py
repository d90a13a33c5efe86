"""What must be so in the app's process as it is in the test's."""
