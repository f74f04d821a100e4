"""A verdict as continuous integration reads it: JUnit XML, a step summary, tests of the user's own suite."""
