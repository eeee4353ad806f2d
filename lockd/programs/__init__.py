"""The programs of the RPC protocol that the daemon serves: one folder each, one file a procedure.

To add a procedure, write its file with a function ``call`` and put it in the table of its
program, by its number.
"""
