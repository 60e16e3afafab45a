"""What RecycleNet can do, one module an operation, for the commands and for Python users.

Operations take and return values, report progress through `core.progress` and messages through
`logging`, and print nothing.
"""
