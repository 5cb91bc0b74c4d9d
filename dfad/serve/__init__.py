"""A detector behind HTTP: `POST /score`, `POST /explain`, and a page for a person. No request leaves the machine.

What a stranger sends is decoded in a process of its own and with limits (`decoder`), scored in one thread that fills
its batches with windows of all who wait (`batcher`), and forgotten.
"""
