"""From files of any length to scores: windows, what was heard besides, warnings, and one number in the end.

Nothing here knows a network: what scores a batch of windows is given as a function.
"""
