"""Search: a study of trials, each a training (or one per seed) in a process of its own, by any number of workers.

`space` says what may vary, `dealing` is what of Optuna draws and ends trials, `study` keeps the record and deals it
out, `storage` knows where it lies and who is alive, `process` and `training` are the two sides of a training, and
`worker` does one trial after the other.
"""
