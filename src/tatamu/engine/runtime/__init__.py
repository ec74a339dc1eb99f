"""What turns IR into a running function: the JIT, the disk cache, threads and memory."""
