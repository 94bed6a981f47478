"""The servers that dq and kq stand on, as child processes on free ports of this machine.

Where a program is missing, `ServiceMissingError` says which and where it comes from.
"""
