"""Commands: one file each; nobody imports them but `dfad.__main__` and the scripts."""
