"""Coverage-guided fuzzing: a file for each kind of input that others can write.

``python -m tests.fuzz.fuzz_NAME [LIBFUZZER_OPTION ...] CORPUS`` runs one; ``corpus/NAME`` has the
first inputs. Each has ``TestOneInput``, which takes an input and raises nothing except for
defects. ``fuzz_daemon`` is started otherwise: it needs a root of its own.
"""
