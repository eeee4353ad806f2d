"""What the tests are worth: the code with one expression changed, which a test has to notice."""
