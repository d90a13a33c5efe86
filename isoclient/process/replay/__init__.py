"""What the journal of an app tells, done again in the test's process, by the means of this process."""
